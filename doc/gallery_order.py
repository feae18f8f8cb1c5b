"""Examples in the order in which one may want to read them."""

from sphinx_gallery.sorting import FileNameSortKey

ORDER = (
    "plot_dft_to_potential.py",
    "plot_read_a_potential.py",
    "plot_choose_a_size.py",
    "plot_grid_search.py",
    "plot_audit.py",
    "plot_uncertainty.py",
    "plot_watch_a_simulation.py",
    "plot_active_learning.py",
    "plot_alloys.py",
    "plot_elastic_constants.py",
    "plot_phonons.py",
    "plot_defects.py",
    "plot_lammps_melt_and_quench.py",
    "plot_large_data.py",
    "plot_radial_functions.py",
    "plot_known_potentials.py",
)


class GalleryOrder(FileNameSortKey):
    """Files of `ORDER` first, all others by name."""

    def __call__(self, filename):
        return (ORDER.index(filename), "") if filename in ORDER else (len(ORDER), filename)
