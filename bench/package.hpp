// Owns how the scripts of bench/peers are run, where bench/peers/install put them.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace faultline::bench {

bool package_is_there(const std::string &package);

// A command line that runs the script with its arguments in the database.
std::string script_command(const char *database, const std::string &script);
// The JSON object that it prints. Throws when it prints anything else.
nlohmann::json output_of_script(const char *database, const std::string &script);

} // namespace faultline::bench
