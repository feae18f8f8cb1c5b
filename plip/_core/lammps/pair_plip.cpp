// LAMMPS pair style "plip": a plugin that evaluates a potential saved by plip with plip's own core.
//
//   pair_style plip
//   pair_coeff * * model.json Si C        (species of each atom type; NULL for types of another style)

#include "atom.h"
#include "error.h"
#include "force.h"
#include "json.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "plip_core.h"

using namespace LAMMPS_NS;

namespace {

constexpr int FORMAT_VERSION = 1;

// Names of the radial families and of their parameters p and q in the JSON file; those of plip.radial.
struct Family {
    const char *name, *p, *q;
    int code;
};
const Family FAMILIES[] = {
    {"Gaussian", "eta", "centers", PLIP_GAUSSIAN},
    {"Slater", "powers", "zeta", PLIP_SLATER},
    {"GaussianType", "powers", "zeta", PLIP_GAUSSIAN_TYPE},
    {"StillingerWeber", "gamma", "onset", PLIP_STILLINGER_WEBER},
    {"Power", "powers", nullptr, PLIP_POWER},
    {"Lorentzian", "centers", "exponents", PLIP_LORENTZIAN},
    {"LogNormal", "onsets", "scales", PLIP_LOG_NORMAL},
    {"LennardJones", "sigma", nullptr, PLIP_LENNARD_JONES},
};

struct Interaction {
    const char *name;
    int code, n_species, n_functions, n_powers;
};
const Interaction INTERACTIONS[] = {
    {"two-body", PLIP_TWO_BODY, 2, 1, 0},
    {"three-body", PLIP_THREE_BODY, 3, 2, 1},
    {"N-body", PLIP_N_BODY, 2, 1, 1},
    {"four-body", PLIP_FOUR_BODY, 4, 3, 3},
};

template <class T, size_t n> const T &find(const T (&table)[n], const std::string &name)
{
    for (const T &item : table)
        if (name == item.name)
            return item;
    throw std::runtime_error("'" + name + "' is not known");
}

struct Model {
    std::vector<std::string> species;
    std::vector<double> reference;
    std::vector<plip_term> terms;

    int index(const std::string &symbol) const
    {
        const auto place = std::find(species.begin(), species.end(), symbol);
        return place == species.end() ? -1 : int(place - species.begin());
    }
};

plip_term read_term(const Model &model, const json &item)
{
    plip_term term{};
    const Interaction &kind = find(INTERACTIONS, item.at("interaction").get<std::string>());
    const json &species = item.at("species"), &radial = item.at("radial");
    if (int(species.size()) != kind.n_species || int(radial.size()) != kind.n_functions)
        throw std::runtime_error("the parts of a term do not fit together");
    term.kind = kind.code;
    for (int k = 0; k < kind.n_species; k++) {
        term.species[k] = model.index(species[k].get<std::string>());
        if (term.species[k] < 0)
            throw std::runtime_error("a term has a species without a reference energy");
    }
    for (int k = 0; k < kind.n_functions; k++) {
        const Family &family = find(FAMILIES, radial[k].at("family").get<std::string>());
        term.family[k] = family.code;
        term.p[k] = radial[k].at(family.p).get<double>();
        term.q[k] = family.q ? radial[k].at(family.q).get<double>() : 0.0;
    }
    if (kind.n_powers == 1)
        term.power[0] = item.at("power").get<int>();
    for (int k = 0; k < kind.n_powers && kind.n_powers > 1; k++)
        term.power[k] = item.at("power").at(k).get<int>();
    term.cutoff = item.at("cutoff").get<double>();
    term.switch_distance = item.contains("switch") ? item.at("switch").get<double>() : 0.0;
    term.coefficient = item.at("coefficient").get<double>();
    return term;
}

Model read_model(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error("cannot open the file");
    const json document = json::parse(file);
    if (!document.is_object() || document.value("format", json()) != "plip-potential")
        throw std::runtime_error("not a plip potential; give a file that plip has saved");
    const int version = document.at("version").get<int>();
    if (version > FORMAT_VERSION)
        throw std::runtime_error("written in version " + std::to_string(version) +
                                 " of the format, newer than this plugin reads (" +
                                 std::to_string(FORMAT_VERSION) +
                                 "): upgrade plip-potential and run 'plip lammps build' again");
    if (document.at("units") != json{{"energy", "eV"}, {"length", "Angstrom"}})
        throw std::runtime_error("its units are not eV and Angstrom");
    Model model;
    for (const json &symbol : document.at("species")) {
        model.species.push_back(symbol.get<std::string>());
        model.reference.push_back(document.at("reference_energies").at(model.species.back()).get<double>());
    }
    for (const json &item : document.at("terms"))
        model.terms.push_back(read_term(model, item));
    return model;
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
        const Model model = read_model(path);
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
