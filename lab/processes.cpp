// Implements commands by bash and a pipe, and questions by /proc.
#include "processes.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>

namespace faultline::lab {

namespace {

// As one word of the shell.
std::string quoted(const std::string &text) {
    std::string word = "'";
    for (const char c : text)
        word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return word + "'";
}

struct ProcessLine {
    char state;
    int parent;
};

// What /proc tells; the name of a process may hold blanks.
std::optional<ProcessLine> process_line(const std::string &process) {
    std::ifstream file("/proc/" + process + "/stat");
    std::string line;
    if (!std::getline(file, line) || line.rfind(')') == std::string::npos)
        return std::nullopt;
    std::istringstream words(line.substr(line.rfind(')') + 1));
    ProcessLine found{};
    words >> found.state >> found.parent;
    return found;
}

} // namespace

CommandResult run_command(const std::string &command) {
    FILE *pipe =
        popen(("exec bash -c " + quoted("exec 2>&1; set -euo pipefail\n" + command)).c_str(), "re");
    if (pipe == nullptr)
        throw std::runtime_error("could not run bash");
    std::string output;
    std::array<char, 4096> part{};
    for (std::size_t length = 0; (length = fread(part.data(), 1, part.size(), pipe)) > 0;)
        output.append(part.data(), length);
    const int status = pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), output};
}

std::string checked_command(const std::string &command) {
    const CommandResult result = run_command(command);
    if (result.status != 0)
        throw std::runtime_error(command + " failed: " + result.output);
    return result.output;
}

char process_state(int process) {
    const std::optional<ProcessLine> line = process_line(std::to_string(process));
    return line ? line->state : process_gone;
}

std::vector<int> children_of(int parent) {
    std::vector<int> children;
    for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos)
            continue;
        const std::optional<ProcessLine> line = process_line(name);
        if (line && line->parent == parent)
            children.push_back(std::stoi(name));
    }
    return children;
}

} // namespace faultline::lab
