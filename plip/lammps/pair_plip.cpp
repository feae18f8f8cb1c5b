// LAMMPS pair style "plip": a plugin that evaluates a potential saved by plip with plip's own core.
//
//   pair_style plip
//   pair_coeff * * model.json Si C        (species of each atom type; NULL for types of another style)
//   fix 1 all pair 10 plip extrapolation 1

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "info.h"
#include "library.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "plip_core.h"
#include "read_model.h"

using namespace LAMMPS_NS;

namespace {

using plip::Model;

std::string read_file(const std::string &path)
{
    constexpr size_t LIMIT = size_t(1) << 28;
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error("cannot open the file");
    std::string text;
    std::vector<char> block(1 << 16);
    while (file.read(block.data(), block.size()) || file.gcount()) {
        text.append(block.data(), size_t(file.gcount()));
        if (text.size() > LIMIT)
            throw std::runtime_error("the file is too large");
    }
    if (file.bad())
        throw std::runtime_error("cannot read the file");
    return text;
}

struct Free {
    void operator()(plip_potential *potential) const { plip_free(potential); }
    void operator()(plip_workspace *workspace) const { plip_workspace_free(workspace); }
};

// What fix pair sets on the steps whose grades it will take. Nobody reads it, since grades are found when they are taken.
// The fix keeps the address even if pair styles are deleted and made anew.
int flag_of_grades = 0;

// Terms of their own, and what the data hold of them.
struct Extent {
    std::unique_ptr<plip_potential, Free> terms;
    std::unique_ptr<plip_workspace, Free> workspace;
    std::vector<double> factor, limits, shortest;
};

// What a pair_coeff command sets, all of it or nothing.
struct Setting {
    std::unique_ptr<plip_potential, Free> potential;
    std::unique_ptr<plip_workspace, Free> workspace;
    std::vector<int> species_of_type; // from 1; -1 for types of another style
    std::vector<std::string> symbols; // of the species
    Extent extent;                    // without terms if the file does not hold it
    std::vector<std::string> findings; // of the check of the potential
};

class PairPLIP : public Pair {
public:
    explicit PairPLIP(LAMMPS *lmp) : Pair(lmp)
    {
        single_enable = 0;
        restartinfo = 0;
        one_coeff = 1;
        manybody_flag = 1;
        centroidstressflag = CENTROID_AVAIL;
    }

    ~PairPLIP() override
    {
        if (allocated) {
            memory->destroy(setflag);
            memory->destroy(cutsq);
        }
    }

    void settings(int narg, char **) override
    {
        if (narg)
            error->all(FLERR, "pair_style plip takes no arguments");
    }

    // An error leaves the style as it was: not set, or with the last good potential.
    void coeff(int narg, char **arg) override
    {
        const int n_types = atom->ntypes;
        if (narg != 3 + n_types || strcmp(arg[0], "*") != 0 || strcmp(arg[1], "*") != 0)
            error->all(FLERR, "pair_coeff of plip: * * file and the species of each of the {} atom types", n_types);
        Setting setting;
        std::string problem;
        try {
            setting = read(file_of_all(arg[2]), arg + 3);
        } catch (const std::exception &exception) {
            problem = exception.what();
        }
        throw_together(arg[2], problem);
        current = std::move(setting);
        warned_of_crowding = compared_masses = false;
        warn_of_findings(arg[2]);
        if (!allocated) {
            memory->create(setflag, n_types + 1, n_types + 1, "pair:setflag");
            memory->create(cutsq, n_types + 1, n_types + 1, "pair:cutsq");
            allocated = 1;
        }
        for (int i = 1; i <= n_types; i++)
            for (int j = 1; j <= n_types; j++)
                setflag[i][j] = current.species_of_type[i] >= 0 && current.species_of_type[j] >= 0;
    }

    void init_style() override
    {
        if (force->newton_pair == 0)
            error->all(FLERR, "pair style plip needs newton pair on");
        if (strcmp(update->unit_style, "metal") != 0)
            error->all(FLERR, "pair style plip needs units metal");
        neighbor->add_request(this, NeighConst::REQ_FULL);
        check_included();
        find_covered_groups();
        compare_masses();
    }

    double init_one(int i, int j) override
    {
        if (setflag[i][j] == 0)
            error->all(FLERR, "All pair coeffs are not set. Status:\n{}", Info::get_pair_coeff_status(lmp));
        return plip_cutoff(current.potential.get());
    }

    void compute(int eflag, int vflag) override
    {
        ev_init(eflag, vflag);
        double strain[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
        const int n_all = atom->nlocal + atom->nghost;
        plip_system system{};
        has_grades = false;
        if (n_all == 0)
            return;
        set_atoms(system);
        system.forces = atom->f[0];
        if (vflag_global)
            system.strain_derivative = strain;
        if (vflag_atom) {
            strains.assign(6 * size_t(n_all), 0.0);
            system.strain_derivatives = strains.data();
        }
        if (cvflag_atom) {
            centroids.assign(9 * size_t(n_all), 0.0);
            system.centroid_derivatives = centroids.data();
        }
        find_excluded();
        int lost = -1;
        double total = 0.0, crowding = 0.0, closest = INFINITY;
        for (int begin = 0; begin < list->inum;) {
            plip_center centers[PLIP_CENTERS];
            const int n = take_centers(begin, centers);
            if (plip_evaluate(current.potential.get(), current.workspace.get(), &system, n, centers, NEIGHMASK))
                error->one(FLERR, "pair style plip: out of memory");
            for (int k = 0; k < n; k++) {
                total += centers[k].energy;
                crowding = std::max(crowding, centers[k].crowding);
                closest = std::min(closest, centers[k].closest);
                // False for NaN, too.
                if (!(std::abs(centers[k].energy) < LARGEST_ENERGY))
                    lost = centers[k].atom;
                if (eflag_atom)
                    eatom[centers[k].atom] += centers[k].energy;
            }
        }
        if (closest < OVERLAP)
            error->one(FLERR, "pair style plip: two atoms are closer than {} Angstrom: remove one of them", OVERLAP);
        if (lost >= 0)
            error->one(FLERR, "pair style plip: the energy of atom {}, or a force, is not finite: a position is lost, "
                       "or a radial function is too steep for its shortest distance", atom->tag[lost]);
        if (crowding > 1.0 && !warned_of_crowding) {
            warned_of_crowding = true;
            error->warning(FLERR, "pair style plip: an atom is more densely surrounded ({:.2f} of the limit) than any "
                           "in the data of the potential: its energy is repulsion, not fitted", crowding);
        }
        if (eflag_global)
            eng_vdwl += total;
        // LAMMPS: minus the strain derivative, order xx yy zz xy xz yz.
        if (vflag_global)
            for (int k = 0; k < 6; k++)
                virial[k] -= strain[ORDER[k]];
        if (vflag_atom)
            for (int i = 0; i < n_all; i++)
                for (int k = 0; k < 6; k++)
                    vatom[i][k] -= strains[6 * size_t(i) + ORDER[k]];
        if (cvflag_atom)
            for (int i = 0; i < n_all; i++)
                for (int k = 0; k < 9; k++)
                    cvatom[i][k] -= centroids[9 * size_t(i) + k];
        if (vflag_fdotr)
            virial_fdotr_compute();
    }

    // Grades for fix pair. While it is made, outside of a run, it asks only how many columns there are.
    void *extract(const char *name, int &dimension) override
    {
        dimension = 0;
        return strcmp(name, "extrapolation_flag") == 0 ? &flag_of_grades : nullptr;
    }

    void *extract_peratom(const char *name, int &n_columns) override
    {
        if (strcmp(name, "extrapolation") != 0)
            return nullptr;
        n_columns = 0;
        if (current.potential && !current.extent.terms)
            error->all(FLERR, "pair style plip: the file of the potential does not hold what extrapolation grades need: "
                       "write it by potential.save(path, uncertainty=True)");
        if (update->whichflag == 0)
            return nullptr;
        if (!has_grades)
            find_grades();
        return grades.data();
    }

    double memory_usage() override
    {
        const size_t n_numbers = strains.capacity() + centroids.capacity() + grades.capacity();
        double bytes = Pair::memory_usage() + double(n_numbers * sizeof(double));
        for (const plip_potential *potential : {current.potential.get(), current.extent.terms.get()})
            bytes += potential ? double(plip_memory(potential)) : 0.0;
        return bytes + double(current.extent.factor.capacity() * sizeof(double));
    }

private:
    static constexpr int ORDER[6] = {0, 1, 2, 5, 4, 3};
    // As in Python: distances in Angstrom at which atoms coincide, and energies in eV that are no longer sums.
    static constexpr double OVERLAP = 1e-3, LARGEST_ENERGY = 1e200;
    // Argon is heavier than potassium by a factor of 1.022, more than any other element than a later one.
    static constexpr double HEAVIER = 1.025;

    Setting current;
    bool warned_of_crowding = false, compared_masses = false;
    std::vector<double> strains, centroids;
    // Of the atoms of this process on the present step, if there are any yet; 0 for those of other styles.
    bool has_grades = false;
    std::vector<double> grades;

    // Atoms without a list would have no energy, and those near them wrong forces.
    void check_included() const
    {
        if (!neighbor->includegroup)
            return;
        int missing = 0;
        for (int i = 0; i < atom->nlocal; i++)
            if (current.species_of_type[atom->type[i]] >= 0 && !(atom->mask[i] & group->bitmask[neighbor->includegroup]))
                missing = 1;
        MPI_Allreduce(MPI_IN_PLACE, &missing, 1, MPI_INT, MPI_MAX, world);
        if (missing)
            error->all(FLERR, "pair style plip needs the neighbors of all of its atoms, which neigh_modify include "
                       "leaves out");
    }

    // A potential that failed its check was written because someone wanted it.
    void warn_of_findings(const char *path)
    {
        const size_t n = current.findings.size();
        if (n && comm->me == 0)
            error->warning(FLERR, "plip potential {}: simulations with it fail, as the check of its safety has found: {}{}",
                           path, current.findings[0], n > 1 ? " (" + std::to_string(n - 1) + " more)" : "");
    }

    // Species in another order than the types are a mistake that nothing else shows.
    void compare_masses()
    {
        if (!atom->mass || compared_masses)
            return;
        compared_masses = true;
        for (int i = 1; i <= atom->ntypes; i++)
            for (int j = 1; j <= atom->ntypes; j++) {
                const int a = current.species_of_type[i], b = current.species_of_type[j];
                if (a < 0 || b < 0 || !atom->mass_setflag[i] || !atom->mass_setflag[j])
                    continue;
                const char *lighter = current.symbols[a].c_str(), *heavier = current.symbols[b].c_str();
                if (plip_atomic_number(lighter) >= plip_atomic_number(heavier) ||
                    atom->mass[i] < HEAVIER * atom->mass[j])
                    continue;
                if (comm->me == 0)
                    error->warning(FLERR, "pair style plip: atom type {} ({}) has the mass {:.6g}, type {} ({}) {:.6g}: "
                                   "pair_coeff must name the species in the order of the types", i, lighter,
                                   atom->mass[i], j, heavier, atom->mass[j]);
                return;
            }
    }

    void set_atoms(plip_system &system) const
    {
        system.positions = atom->x[0];
        system.types = atom->type;
        system.species_of_type = current.species_of_type.data();
    }

    // The next centers from place `begin` of the list on, which moves behind them. Returns their number.
    int take_centers(int &begin, plip_center *centers) const
    {
        int n = 0;
        for (; begin < list->inum && n < PLIP_CENTERS; begin++) {
            const int i = list->ilist[begin];
            if (!excluded(i))
                centers[n++] = {i, list->numneigh[i], list->firstneigh[i], 0.0, INFINITY, 0.0};
        }
        return n;
    }

    void find_grades()
    {
        const Extent &extent = current.extent;
        const plip_extent data{extent.factor.data(), extent.limits.data(), extent.shortest.data()};
        plip_system system{};
        grades.assign(size_t(atom->nlocal) + 1, 0.0);
        has_grades = true;
        if (atom->nlocal == 0)
            return;
        set_atoms(system);
        for (int begin = 0; begin < list->inum;) {
            plip_center centers[PLIP_CENTERS];
            double found[PLIP_CENTERS];
            const int n = take_centers(begin, centers);
            if (plip_extrapolation(extent.terms.get(), extent.workspace.get(), &system, &data, n, centers, NEIGHMASK,
                                   found))
                error->one(FLERR, "pair style plip: out of memory");
            for (int k = 0; k < n; k++)
                grades[centers[k].atom] = found[k];
        }
    }

    // Atoms whose every interaction neigh_modify excludes count as deleted, reference energy included; fix gcmc
    // tries deletions that way. Whether an atom does must not change with the atoms that happen to be there, or
    // fix gcmc would see the reference energies of others come and go. It is therefore a matter of its groups and
    // type: of a group excluded with group all, of a type excluded with all types, or of a group of which the
    // exclusions cover all atoms when the run begins (find_covered_groups).
    int covered_groups = 0, excluded_groups = 0;
    std::vector<char> excluded_types;

    void find_covered_groups()
    {
        covered_groups = 0;
        const int n = neighbor->nex_group;
        if (!n)
            return;
        // Whether there are atoms in each group of an exclusion, and atoms that its exclusions miss.
        std::vector<int> partners(2 * n, 0), flags(4 * n, 0);
        for (int a = 0; a < 2 * n; a++) {
            for (int b = 0; b < 2 * n; b++)
                if (exclusion_bit(b) == exclusion_bit(a))
                    partners[a] |= exclusion_bit(b < n ? b + n : b - n);
            for (int i = 0; i < atom->nlocal; i++) {
                flags[2 * a] |= (atom->mask[i] & exclusion_bit(a)) != 0;
                flags[2 * a + 1] |= (atom->mask[i] & partners[a]) == 0;
            }
        }
        MPI_Allreduce(MPI_IN_PLACE, flags.data(), 4 * n, MPI_INT, MPI_MAX, world);
        // A group excluded with nothing but itself counts: its atoms interact with whatever comes.
        for (int a = 0; a < 2 * n; a++)
            if (flags[2 * a] && !flags[2 * a + 1] && partners[a] != exclusion_bit(a))
                covered_groups |= exclusion_bit(a);
    }

    void find_excluded()
    {
        excluded_groups = covered_groups;
        const int n = neighbor->nex_group;
        for (int a = 0; a < 2 * n; a++)
            if (exclusion_bit(a < n ? a + n : a - n) == group->bitmask[0])
                excluded_groups |= exclusion_bit(a);
        excluded_types.clear();
        if (!neighbor->nex_type)
            return;
        const int n_types = atom->ntypes;
        std::vector<char> pairs((n_types + 1) * (n_types + 1), 0);
        for (int m = 0; m < neighbor->nex_type; m++) {
            const int i = neighbor->ex1_type[m], j = neighbor->ex2_type[m];
            pairs[i * (n_types + 1) + j] = pairs[j * (n_types + 1) + i] = 1;
        }
        excluded_types.assign(n_types + 1, 0);
        for (int i = 1; i <= n_types; i++) {
            const auto row = pairs.begin() + i * (n_types + 1);
            excluded_types[i] = std::count(row + 1, row + n_types + 1, 1) == n_types;
        }
    }

    // The groups of exclusion m, the first ones and then the second ones.
    int exclusion_bit(int m) const
    {
        const int n = neighbor->nex_group;
        return group->bitmask[m < n ? neighbor->ex1_group[m] : neighbor->ex2_group[m - n]];
    }

    bool excluded(int i) const
    {
        return atom->mask[i] & excluded_groups || (!excluded_types.empty() && excluded_types[atom->type[i]]);
    }

    // The text of a file, read by the first process.
    std::string file_of_all(const char *path)
    {
        std::string text, problem;
        if (comm->me == 0) {
            try {
                text = read_file(path);
            } catch (const std::exception &exception) {
                problem = exception.what();
            }
        }
        int sizes[2] = {int(text.size()), int(problem.size())};
        MPI_Bcast(sizes, 2, MPI_INT, 0, world);
        text.resize(sizes[0]);
        problem.resize(sizes[1]);
        MPI_Bcast(&text[0], sizes[0], MPI_CHAR, 0, world);
        MPI_Bcast(&problem[0], sizes[1], MPI_CHAR, 0, world);
        if (!problem.empty())
            throw std::runtime_error(problem);
        return text;
    }

    // An error of one process is an error of all, since they must stop together.
    void throw_together(const char *path, std::string problem)
    {
        const int n_processes = comm->nprocs;
        int first = problem.empty() ? n_processes : comm->me;
        MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, world);
        if (first == n_processes)
            return;
        int size = int(problem.size());
        MPI_Bcast(&size, 1, MPI_INT, first, world);
        problem.resize(size);
        MPI_Bcast(&problem[0], size, MPI_CHAR, first, world);
        error->all(FLERR, "plip potential {}: {}", path, problem);
    }

    Setting read(const std::string &text, char **symbols) const
    {
        const Model model = plip::read_model(text);
        Setting setting;
        setting.symbols = model.species;
        setting.species_of_type.assign(atom->ntypes + 1, -1);
        for (int type = 1; type <= atom->ntypes; type++) {
            const std::string symbol = symbols[type - 1];
            if (symbol == "NULL")
                continue;
            setting.species_of_type[type] = model.index(symbol);
            if (setting.species_of_type[type] < 0) {
                std::string known;
                for (const std::string &name : model.species)
                    known += " " + name;
                throw std::runtime_error("it does not know " + symbol + "; its species are" + known);
            }
        }
        if (*std::max_element(setting.species_of_type.begin(), setting.species_of_type.end()) < 0)
            throw std::runtime_error("every atom type is NULL; name the species of one at least");
        char reason[PLIP_ERROR_LENGTH];
        std::vector<const char *> symbols_of_model;
        const plip_repulsion repulsion = plip::repulsion_of(model, symbols_of_model);
        setting.potential.reset(plip_create(int(model.species.size()), model.reference.data(), int(model.terms.size()),
                                            model.terms.data(), &repulsion, "auto", reason));
        if (!setting.potential)
            throw std::runtime_error(reason);
        setting.workspace.reset(plip_workspace_create(setting.potential.get()));
        if (!setting.workspace)
            throw std::runtime_error("out of memory");
        if (model.has_extent)
            setting.extent = extent_of(model);
        setting.findings = model.findings;
        return setting;
    }

    static Extent extent_of(const Model &model)
    {
        char reason[PLIP_ERROR_LENGTH];
        Extent extent{{}, {}, model.factor, model.leverage_limits, model.shortest};
        extent.terms.reset(plip_create_terms(int(model.species.size()), int(model.terms.size()), model.terms.data(),
                                             "auto", reason));
        if (!extent.terms)
            throw std::runtime_error(reason);
        extent.workspace.reset(plip_workspace_create(extent.terms.get()));
        if (!extent.workspace)
            throw std::runtime_error("out of memory");
        return extent;
    }
};

Pair *create_pair(LAMMPS *lmp)
{
    return new PairPLIP(lmp);
}

} // namespace

// The C interface of LAMMPS plugins (lammpsplugin.h, which binary distributions leave out).
extern "C" {
typedef void *(lammpsplugin_factory1)(void *);
typedef void *(lammpsplugin_factory2)(void *, int, char **);

typedef struct {
    const char *version;
    const char *style;
    const char *name;
    const char *info;
    const char *author;
    union {
        lammpsplugin_factory1 *v1;
        lammpsplugin_factory2 *v2;
    } creator;
    void *handle;
} lammpsplugin_t;

typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *, void *);

// The version of LAMMPS whose headers the plugin was compiled with, as lammps_version() gives it, and as text.
extern __attribute__((visibility("default"))) const char plip_lammps_version[];
const char plip_lammps_version[] = PLIP_LAMMPS_VERSION;

__attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
    // In another version the classes may differ, so that LAMMPS is asked through its C interface.
    const std::string host = std::to_string(lammps_version(lmp));
    if (host != plip_lammps_version) {
        const std::string text = std::string("pair_style plip is not available: its plugin was built for LAMMPS ") +
                                 plip_lammps_version + ", this is " + host + "; run 'plip lammps build'";
        if (lammps_extract_setting(lmp, "world_rank") == 0)
            lammps_error(lmp, LMP_ERROR_WARNING, text.c_str());
        return;
    }
    lammpsplugin_t plugin{};
    plugin.version = PLIP_LAMMPS_DATE;
    plugin.style = "pair";
    plugin.name = "plip";
    plugin.info = "plip potentials, plip " PLIP_VERSION;
    plugin.author = "The plip developers";
    plugin.creator.v1 = reinterpret_cast<lammpsplugin_factory1 *>(&create_pair);
    plugin.handle = handle;
    reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, lmp);
}
}
