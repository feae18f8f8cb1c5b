// From the JSON text of a potential to the terms of the core. As strict as plip.load_potential: what one refuses, so
// does the other (tests/bad_files.py). Ranges are checked by the core, types and structure here.
#ifndef PLIP_READ_MODEL_H
#define PLIP_READ_MODEL_H

#include "json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "plip_core.h"

namespace plip {

using LAMMPS_NS::json;

constexpr int FORMAT_VERSION = 5;
// The first ones with terms of any species, roots of densities, and forces of the core repulsion.
constexpr int FIRST_WITH_ANY = 3;
constexpr int FIRST_WITH_ROOTS = 4;
constexpr int FIRST_WITH_FORCES = 5;
// Levels of arrays and objects in each other; a potential has six.
constexpr int MAX_DEPTH = 32;

struct Model {
    int version = FORMAT_VERSION;
    std::vector<std::string> species;
    std::vector<double> reference;
    std::vector<plip_term> terms;
    // As in plip_repulsion.
    std::vector<double> inner, outer, force, range, limit, floor;
    // As in plip_extent; empty if the file does not hold them.
    bool has_extent = false;
    std::vector<double> factor, leverage_limits, shortest;
    // What Potential.check_safety has found.
    std::vector<std::string> findings;

    int index(const std::string &symbol) const
    {
        const auto place = std::find(species.begin(), species.end(), symbol);
        return place == species.end() ? -1 : int(place - species.begin());
    }
};

inline void fail(const std::string &reason)
{
    throw std::runtime_error("damaged potential: " + reason);
}

inline const json &member(const json &object, const char *name)
{
    const auto place = object.find(name);
    if (place == object.end())
        fail(std::string("there is no \"") + name + "\"");
    return *place;
}

inline std::string text(const json &value, const char *what)
{
    if (!value.is_string())
        fail(std::string(what) + " must be a string");
    return value.get<std::string>();
}

inline double number(const json &value, const char *what)
{
    if (!value.is_number() || !std::isfinite(value.get<double>()))
        fail(std::string(what) + " must be a finite number");
    return value.get<double>();
}

// An integer as the core takes it; what an int cannot hold is out of every range as well.
inline int integer(const json &value, const char *what)
{
    if (!value.is_number_integer())
        fail(std::string(what) + " must be an integer");
    return int(std::clamp(value.get<double>(), -1e9, 1e9));
}

inline const json &array(const json &value, const char *what)
{
    if (!value.is_array())
        fail(std::string(what) + " must be an array");
    return value;
}

inline double length(const json &value, const char *what)
{
    char reason[PLIP_ERROR_LENGTH];
    const double result = number(value, what);
    if (plip_check_length(what, result, reason))
        fail(reason);
    return result;
}

template <class T, size_t n> int find(const T (&table)[n], const std::string &name)
{
    for (size_t k = 0; k < n; k++)
        if (name == table[k].name)
            return int(k);
    fail("'" + name + "' is not known");
    return -1;
}

inline plip_term read_term(const Model &model, const json &item)
{
    static const std::set<std::string> KEYS{"interaction", "species", "radial", "power", "cutoff", "switch",
                                            "coefficient"};
    plip_term term{};
    if (!item.is_object())
        fail("a term must be an object");
    for (const auto &entry : item.items())
        if (!KEYS.count(entry.key()))
            fail("a term has an unknown \"" + entry.key() + "\"");
    term.kind = find(PLIP_INTERACTIONS, text(member(item, "interaction"), "interaction"));
    const plip_interaction &kind = PLIP_INTERACTIONS[term.kind];
    const json &species = array(member(item, "species"), "species"), &radial = array(member(item, "radial"), "radial");
    if (int(species.size()) != kind.n_species || int(radial.size()) != kind.n_functions)
        fail("the parts of a term do not fit together");
    for (int k = 0; k < kind.n_species; k++) {
        const std::string symbol = text(species[k], "species");
        if (symbol == "*" && model.version < FIRST_WITH_ANY)
            fail("its terms need version " + std::to_string(FIRST_WITH_ANY) + " of the format");
        term.species[k] = symbol == "*" ? PLIP_ANY : model.index(symbol);
    }
    for (int k = 0; k < kind.n_functions; k++) {
        if (!radial[k].is_object())
            fail("a radial function must be an object");
        term.family[k] = find(PLIP_FAMILIES, text(member(radial[k], "family"), "family"));
        const plip_family &family = PLIP_FAMILIES[term.family[k]];
        term.p[k] = number(member(radial[k], family.p), family.p);
        term.q[k] = family.q ? number(member(radial[k], family.q), family.q) : 0.0;
        if (radial[k].size() != (family.q ? 3u : 2u))
            fail(std::string("a ") + family.name + " has an unknown parameter");
    }
    const json power = item.value("power", json());
    if (kind.n_powers == 0 && !power.is_null())
        fail(std::string("a ") + kind.name + " term has no power");
    const bool is_root = term.kind == PLIP_N_BODY && power.is_number_float() && power.get<double>() == 0.5;
    if (is_root && model.version < FIRST_WITH_ROOTS)
        fail("its terms need version " + std::to_string(FIRST_WITH_ROOTS) + " of the format");
    if (kind.n_powers == 1)
        term.power[0] = is_root ? int(PLIP_ROOT) : integer(power, "power");
    if (term.kind == PLIP_N_BODY && !is_root && term.power[0] == PLIP_ROOT)
        fail("the power of a density must not be 0");
    if (kind.n_powers == 3) {
        if (array(power, "power").size() != 3)
            fail("power must have three numbers");
        for (int k = 0; k < 3; k++)
            term.power[k] = integer(power[k], "power");
    }
    term.cutoff = number(member(item, "cutoff"), "cutoff");
    const json distance = item.value("switch", json());
    term.switch_distance = distance.is_null() ? 0.0 : length(distance, "switch");
    term.coefficient = number(member(item, "coefficient"), "coefficient");
    char reason[PLIP_ERROR_LENGTH];
    if (plip_check_term(int(model.species.size()), &term, reason))
        fail("term " + std::to_string(model.terms.size()) + ": " + reason);
    return term;
}

// JSON without what the standard leaves to the reader: one name twice, bytes of zero, any depth.
inline json parse(const std::string &data)
{
    std::vector<std::set<std::string>> names;
    const auto check = [&names](int depth, json::parse_event_t event, json &parsed) {
        const bool begins = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
        if (begins && depth >= MAX_DEPTH)
            throw std::runtime_error("not a readable JSON file (too deeply nested)");
        if (event == json::parse_event_t::object_start)
            names.emplace_back();
        else if (event == json::parse_event_t::object_end)
            names.pop_back();
        else if (event == json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second)
            throw std::runtime_error("damaged potential: \"" + parsed.get<std::string>() + "\" occurs twice");
        return true;
    };
    if (data.find('\0') != std::string::npos)
        throw std::runtime_error("not a readable JSON file");
    try {
        return json::parse(data, check);
    } catch (const json::exception &problem) {
        std::string reason = problem.what(); // it quotes the file, which may be anything
        for (char &c : reason)
            c = c >= ' ' && c <= '~' ? c : '?';
        throw std::runtime_error("not a readable JSON file (" + reason + ")");
    }
}

// What plip_create takes; it points into the model.
inline plip_repulsion repulsion_of(const Model &model, std::vector<const char *> &symbols)
{
    symbols.clear();
    for (const std::string &symbol : model.species)
        symbols.push_back(symbol.c_str());
    return {symbols.data(),     model.inner.data(), model.outer.data(), model.force.data(),
            model.range.data(), model.limit.data(), model.floor.data(), 0};
}

// The two species of a name such as "Si-O"; -1 for those that the model does not have.
inline std::pair<int, int> pair_of(const Model &model, const std::string &name)
{
    const size_t dash = name.find('-');
    return {model.index(name.substr(0, dash)),
            dash == std::string::npos ? -1 : model.index(name.substr(dash + 1))};
}

inline void read_repulsion(Model &model, const json &document)
{
    const size_t n = model.species.size();
    const json repulsion = document.value("repulsion", json()), limits = document.value("density_limits", json());
    const json floors = document.value("energy_floors", json()), forces = document.value("core_forces", json());
    model.inner.assign(n * n, 0.0);
    model.outer.assign(n * n, 0.0);
    model.force.assign(n * n, 0.0);
    model.range.assign(n, 0.0);
    model.limit.assign(n, 0.0);
    model.floor.assign(n, -INFINITY);
    if (!repulsion.is_null() && !repulsion.is_object())
        fail("repulsion must be an object or null");
    for (const auto &entry : repulsion.items()) {
        const auto [first, second] = pair_of(model, entry.key());
        if (first < 0 || second < 0 || model.outer[first * n + second] != 0.0)
            fail("repulsion must name pairs of its species, each once");
        if (array(entry.value(), "a repulsion").size() != 2)
            fail("a repulsion must be two distances");
        const double inner = length(entry.value()[0], "repulsion"), outer = length(entry.value()[1], "repulsion");
        model.inner[first * n + second] = model.inner[second * n + first] = inner;
        model.outer[first * n + second] = model.outer[second * n + first] = outer;
    }
    if (!forces.is_null() && !forces.is_object())
        fail("core_forces must be an object or null");
    if (!forces.is_null() && model.version < FIRST_WITH_FORCES)
        fail("its core_forces need version " + std::to_string(FIRST_WITH_FORCES) + " of the format");
    for (const auto &entry : forces.items()) {
        const auto [first, second] = pair_of(model, entry.key());
        if (first < 0 || second < 0 || model.outer[first * n + second] == 0.0 || model.force[first * n + second] != 0.0)
            fail("core_forces must name pairs that have a repulsion, each once");
        const double force = number(entry.value(), "core force");
        if (!(force > 0.0))
            fail("core_forces must be positive");
        model.force[first * n + second] = model.force[second * n + first] = force;
    }
    if (!limits.is_null() && !limits.is_object())
        fail("density_limits must be an object or null");
    for (const auto &entry : limits.items()) {
        const int species = model.index(entry.key());
        if (species < 0 || !entry.value().is_object() || entry.value().size() != 2)
            fail("density_limits must give range and limit of its species");
        model.range[species] = length(member(entry.value(), "range"), "range");
        model.limit[species] = number(member(entry.value(), "limit"), "limit");
    }
    if (!floors.is_null() && !floors.is_object())
        fail("energy_floors must be an object or null");
    for (const auto &entry : floors.items()) {
        const int species = model.index(entry.key());
        if (species < 0)
            fail("energy_floors must name its species");
        model.floor[species] = number(entry.value(), "energy floor");
    }
    char reason[PLIP_ERROR_LENGTH];
    std::vector<const char *> symbols;
    const plip_repulsion record = repulsion_of(model, symbols);
    if (plip_check_repulsion(int(n), &record, reason))
        fail(reason);
}

// Bytes of base64 text: RFC 4648, with padding.
inline std::vector<unsigned char> decode(const std::string &data, const char *what)
{
    static const std::string ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t last = data.find_last_not_of('='), size = last == std::string::npos ? 0 : last + 1;
    std::vector<unsigned char> bytes;
    unsigned bits = 0;
    if (data.size() % 4 || data.size() - size > 2)
        fail(std::string(what) + " must be base64 text");
    for (size_t k = 0; k < size; k++) {
        const size_t digit = ALPHABET.find(data[k]);
        if (digit == std::string::npos)
            fail(std::string(what) + " must be base64 text");
        bits = bits << 6 | unsigned(digit);
        // Of four digits, which are three bytes, each but the first completes one.
        if (k % 4)
            bytes.push_back((unsigned char)(bits >> (6 - 2 * (k % 4))));
    }
    return bytes;
}

// The lower triangle of a matrix of n rows: little-endian doubles, row by row.
inline std::vector<double> triangle(const json &value, size_t n, const char *what)
{
    const std::vector<unsigned char> bytes = decode(text(value, what), what);
    std::vector<double> result(n * (n + 1) / 2);
    if (bytes.size() != result.size() * sizeof(double))
        fail(std::string(what) + " is no triangle of its terms");
    for (size_t k = 0; k < result.size(); k++) {
        uint64_t bits = 0;
        for (size_t byte = 8; byte-- > 0;)
            bits = bits << 8 | bytes[8 * k + byte];
        std::memcpy(&result[k], &bits, sizeof bits);
        if (!std::isfinite(result[k]))
            fail(std::string(what) + " must hold finite numbers");
    }
    for (size_t row = 0; row < n; row++)
        if (!(result[row * (row + 1) / 2 + row] > 0.0))
            fail(std::string(what) + " must have a positive diagonal");
    return result;
}

// What extrapolation grades need. Other keys serve Python alone.
inline void read_uncertainty(Model &model, const json &document)
{
    const size_t n = model.species.size();
    const json uncertainty = document.value("uncertainty", json());
    if (uncertainty.is_null())
        return;
    if (!uncertainty.is_object())
        fail("uncertainty must be an object or null");
    model.has_extent = true;
    model.factor = triangle(member(uncertainty, "leverage_factor"), model.terms.size(), "leverage_factor");
    model.leverage_limits.assign(n, 0.0);
    model.shortest.assign(n * n, 0.0);
    const json &limits = member(uncertainty, "leverage_limits");
    if (!limits.is_object())
        fail("leverage_limits must be an object");
    for (const auto &entry : limits.items()) {
        const int species = model.index(entry.key());
        if (species < 0)
            fail("leverage_limits must name its species");
        model.leverage_limits[species] = number(entry.value(), "leverage limit");
        if (model.leverage_limits[species] < 0.0)
            fail("a leverage limit must not be negative");
    }
    for (const json &item : array(member(uncertainty, "shortest_distances"), "shortest_distances")) {
        if (array(item, "a shortest distance").size() != 3)
            fail("a shortest distance must be two species and a number");
        const int first = model.index(text(item[0], "species")), second = model.index(text(item[1], "species"));
        if (first < 0 || second < 0 || model.shortest[first * n + second] != 0.0)
            fail("shortest_distances must name pairs of its species, each once");
        model.shortest[first * n + second] = model.shortest[second * n + first] = length(item[2], "shortest distance");
    }
}

// What the record of the fit says of the check, if it is one that plip has written.
inline std::vector<std::string> read_findings(const json &document)
{
    const json *entry = &document;
    for (const char *name : {"fit", "safety", "findings"}) {
        if (!entry->is_object() || !entry->contains(name))
            return {};
        entry = &(*entry)[name];
    }
    std::vector<std::string> findings;
    if (entry->is_array())
        for (const json &finding : *entry)
            if (finding.is_string())
                findings.push_back(finding.get<std::string>());
    return findings;
}

inline Model read_model(const std::string &data)
{
    const json document = parse(data);
    if (!document.is_object() || document.value("format", json()) != "plip-potential")
        throw std::runtime_error("not a plip potential; give a file that plip has saved");
    const json version = document.value("version", json());
    if (!version.is_number_integer() || version.get<double>() < 1.0)
        fail("the version of its format is not a positive integer");
    if (version.get<double>() > FORMAT_VERSION)
        throw std::runtime_error("written in version " + version.dump() +
                                 " of the format, newer than this plugin reads (" + std::to_string(FORMAT_VERSION) +
                                 "): upgrade plip-potential and run 'plip lammps build' again");
    if (member(document, "units") != json{{"energy", "eV"}, {"length", "Angstrom"}})
        fail("its units are not eV and Angstrom");
    Model model;
    model.version = int(version.get<double>());
    const json &reference = member(document, "reference_energies");
    if (!reference.is_object())
        fail("reference_energies must be an object");
    for (const json &symbol : array(member(document, "species"), "species")) {
        const std::string name = text(symbol, "species");
        if (name.find('\0') != std::string::npos || plip_atomic_number(name.c_str()) < 0 || model.index(name) >= 0)
            fail("species must be different chemical symbols");
        model.species.push_back(name);
        model.reference.push_back(number(member(reference, name.c_str()), "reference energy"));
    }
    if (model.species.empty() || reference.size() != model.species.size())
        fail("species and reference_energies do not fit together");
    for (const json &item : array(member(document, "terms"), "terms"))
        model.terms.push_back(read_term(model, item));
    read_repulsion(model, document);
    read_uncertainty(model, document);
    model.findings = read_findings(document);
    return model;
}

} // namespace plip

#endif
