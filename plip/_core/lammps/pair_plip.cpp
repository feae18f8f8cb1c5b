// LAMMPS pair style "plip": a plugin that evaluates a potential saved by plip with plip's own core.
//
//   pair_style plip
//   pair_coeff * * model.json Si C        (species of each atom type; NULL for types of another style)

#include "atom.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
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
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error("cannot open the file");
    return std::string(std::istreambuf_iterator<char>(file), {});
}

class PairPLIP : public Pair {
public:
    explicit PairPLIP(LAMMPS *lmp) : Pair(lmp)
    {
        single_enable = 0;
        restartinfo = 0;
        one_coeff = 1;
        manybody_flag = 1;
        centroidstressflag = CENTROID_NOTAVAIL;
    }

    ~PairPLIP() override
    {
        release();
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

    void coeff(int narg, char **arg) override
    {
        const int n_types = atom->ntypes;
        if (narg != 3 + n_types)
            error->all(FLERR, "pair_coeff of plip: * * file and the species of each of the {} atom types", n_types);
        if (!allocated) {
            allocated = 1;
            memory->create(setflag, n_types + 1, n_types + 1, "pair:setflag");
            memory->create(cutsq, n_types + 1, n_types + 1, "pair:cutsq");
            map = new int[n_types + 1];
        }
        map_element2type(narg - 3, arg + 3);
        release();
        try {
            read(arg[2]);
        } catch (const std::exception &problem) {
            error->all(FLERR, "plip potential {}: {}", arg[2], problem.what());
        }
    }

    void init_style() override
    {
        if (force->newton_pair == 0)
            error->all(FLERR, "pair style plip needs newton pair on");
        if (strcmp(update->unit_style, "metal") != 0)
            error->all(FLERR, "pair style plip needs units metal");
        neighbor->add_request(this, NeighConst::REQ_FULL);
    }

    double init_one(int i, int j) override
    {
        if (setflag[i][j] == 0)
            error->all(FLERR, "pair style plip: not all pair coeffs are set");
        return plip_cutoff(potential);
    }

    void compute(int eflag, int vflag) override
    {
        ev_init(eflag, vflag);
        double strain[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
        const int n_all = atom->nlocal + atom->nghost;
        plip_system system{};
        if (n_all == 0)
            return;
        system.positions = atom->x[0];
        system.types = atom->type;
        system.species_of_type = species_of_type.data();
        system.forces = atom->f[0];
        if (vflag_global)
            system.strain_derivative = strain;
        if (vflag_atom) {
            strains.assign(6 * size_t(n_all), 0.0);
            system.strain_derivatives = strains.data();
        }
        double total = 0.0;
        for (int begin = 0; begin < list->inum; begin += PLIP_CENTRES) {
            plip_centre centres[PLIP_CENTRES];
            const int n = std::min(PLIP_CENTRES, list->inum - begin);
            for (int k = 0; k < n; k++) {
                const int i = list->ilist[begin + k];
                centres[k] = {i, list->numneigh[i], list->firstneigh[i], 0.0};
            }
            if (plip_evaluate(potential, workspace, &system, n, centres, NEIGHMASK))
                error->one(FLERR, "pair style plip: out of memory");
            for (int k = 0; k < n; k++) {
                total += centres[k].energy;
                if (eflag_atom)
                    eatom[centres[k].atom] += centres[k].energy;
            }
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
        if (vflag_fdotr)
            virial_fdotr_compute();
    }

    double memory_usage() override
    {
        return Pair::memory_usage() + (potential ? double(plip_memory(potential)) : 0.0) +
            double(strains.capacity() * sizeof(double));
    }

private:
    static constexpr int ORDER[6] = {0, 1, 2, 5, 4, 3};

    plip_potential *potential = nullptr;
    plip_workspace *workspace = nullptr;
    std::vector<int> species_of_type;
    std::vector<double> strains;

    void release()
    {
        plip_workspace_free(workspace);
        plip_free(potential);
        workspace = nullptr;
        potential = nullptr;
    }

    void read(const std::string &path)
    {
        const Model model = plip::read_model(read_file(path));
        species_of_type.assign(atom->ntypes + 1, -1);
        for (int type = 1; type <= atom->ntypes; type++) {
            if (map[type] < 0)
                continue;
            species_of_type[type] = model.index(elements[map[type]]);
            if (species_of_type[type] < 0) {
                std::string known;
                for (const std::string &symbol : model.species)
                    known += " " + symbol;
                throw std::runtime_error(std::string("it does not know ") + elements[map[type]] + "; its species are" +
                                         known);
            }
        }
        char reason[PLIP_ERROR_LENGTH];
        potential = plip_create(int(model.species.size()), model.reference.data(), int(model.terms.size()),
                                model.terms.data(), "auto", reason);
        if (!potential)
            throw std::runtime_error(reason);
        workspace = plip_workspace_create(potential);
        if (!workspace)
            throw std::runtime_error("out of memory");
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

__attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
    lammpsplugin_t plugin;
    plugin.version = static_cast<LAMMPS *>(lmp)->version;
    plugin.style = "pair";
    plugin.name = "plip";
    plugin.info = "plip potentials, plip " PLIP_VERSION;
    plugin.author = "The plip developers";
    plugin.creator.v1 = reinterpret_cast<lammpsplugin_factory1 *>(&create_pair);
    plugin.handle = handle;
    reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, lmp);
}
}
