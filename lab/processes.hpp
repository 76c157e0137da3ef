// Owns what the programs of the lab ask of the machine: shell commands, and states of processes.
#pragma once

#include <string>
#include <vector>

namespace faultline::lab {

struct CommandResult {
    int status;
    std::string output; // errors included
};

// In bash, which gives up at the first command that fails.
CommandResult run_command(const std::string &command);
// Its output; throws when it fails.
std::string checked_command(const std::string &command);

// The letter of /proc/PID/stat: R, S, T for one that is stopped ...
inline constexpr char process_gone = '-';
char process_state(int process);
std::vector<int> children_of(int parent);

} // namespace faultline::lab
