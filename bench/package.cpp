// Implements the running of scripts.
#include "package.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <stdexcept>

namespace faultline::bench {

namespace {

const std::filesystem::path packages = "build/peers"; // made by bench/peers/install

} // namespace

bool package_is_there(const std::string &package) {
    return exists(packages / "node_modules" / package);
}

std::string script_command(const char *database, const std::string &script) {
    return fmt::format("PGDATABASE={} node {}/{}", database, packages.string(), script);
}

nlohmann::json output_of_script(const char *database, const std::string &script) {
    const std::string command = script_command(database, script);
    const std::unique_ptr<FILE, int (*)(FILE *)> pipe(popen(command.c_str(), "r"), pclose);
    if (!pipe)
        throw std::runtime_error("could not run: " + command);
    std::string output;
    std::array<char, 4096> buffer{};
    while (const std::size_t count = fread(buffer.data(), 1, buffer.size(), pipe.get()))
        output.append(buffer.data(), count);
    nlohmann::json object = nlohmann::json::parse(output, nullptr, false);
    if (!object.is_object())
        throw std::runtime_error("failed, see above: " + command);
    return object;
}

} // namespace faultline::bench
