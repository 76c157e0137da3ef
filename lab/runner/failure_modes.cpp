// The program: plays the scripts of the failure modes that it is given, and tells what came of
// them.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>
#include <map>
#include <memory>

#include "player.hpp"
#include "script.hpp"
#include "server.hpp"

namespace {

namespace lab = faultline::lab;

struct Options {
    std::vector<std::string> folders;
    std::string calm_directory;
    std::string crashing_directory;
    std::string side = "both";
    bool verbose = false;
};

struct Counts {
    int modes = 0;
    int violated = 0;
    int held = 0;
    int failed = 0;
};

// Modes that take the server down have one of their own, whose log may tell of crashes.
class Servers {
  public:
    explicit Servers(const Options &options) : options_(options) {}

    lab::Server &server_for(const lab::Script &script) {
        std::unique_ptr<lab::Server> &server = script.crashes ? crashing_ : calm_;
        if (!server)
            server = std::make_unique<lab::Server>(script.crashes ? options_.crashing_directory
                                                                  : options_.calm_directory);
        return *server;
    }
    [[nodiscard]] int killed() const { return crashing_ ? crashing_->killed() : 0; }

  private:
    const Options &options_;
    std::unique_ptr<lab::Server> calm_;
    std::unique_ptr<lab::Server> crashing_;
};

Options read_options(int argc, char **argv) {
    Options options;
    CLI::App app("Plays failure modes: lab/failure-modes starts the servers for it.");
    app.add_option("folder", options.folders, "folders lab/FM_NNN_name")->required();
    app.add_option("--calm", options.calm_directory, "the cluster that nobody kills")->required();
    app.add_option("--crashing", options.crashing_directory, "the one that may be killed")
        ->required();
    app.add_option("--side", options.side, "which of the scripts")
        ->check(CLI::IsMember({"both", "repro", "prevent"}));
    app.add_flag("--verbose", options.verbose, "print each step as it is played");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        std::exit(app.exit(error));
    }
    return options;
}

// Returns what to say of this side of the mode.
std::string play(const std::string &path, const Options &options, Servers &servers,
                 Counts &counts) {
    const bool is_repro = std::filesystem::path(path).stem() == "repro";
    try {
        const lab::Script script = lab::read_script(path);
        if (script.is_faultline == is_repro)
            throw std::runtime_error(path +
                                     ": repro runs on an unsafe queue, prevent on Faultline");
        lab::Player(script, servers.server_for(script), options.verbose).play();
        (is_repro ? counts.violated : counts.held)++;
        return is_repro ? "repro violated (as it must)" : "prevent held";
    } catch (const std::runtime_error &error) {
        counts.failed++;
        std::cerr << error.what() << '\n';
        return is_repro ? "REPRO DID NOT GO AS WRITTEN" : "PREVENT FAILED";
    }
}

void play_mode(const std::filesystem::path &folder, const Options &options, Servers &servers,
               Counts &counts) {
    const std::string name = folder.filename();
    std::string said;
    for (const char *side : {"repro", "prevent"}) {
        if (options.side != "both" && options.side != side)
            continue;
        const std::string path = (folder / (std::string(side) + ".steps")).string();
        said += (said.empty() ? "" : " · ") + play(path, options, servers, counts);
    }
    counts.modes++;
    fmt::print("{} {}: {}\n", name.substr(0, 6), name.substr(7), said);
    std::cout.flush();
}

} // namespace

int main(int argc, char **argv) {
    const Options options = read_options(argc, argv);
    Servers servers(options);
    Counts counts;
    for (const std::string &folder : options.folders)
        play_mode(folder, options, servers, counts);
    fmt::print("{} failure modes: {} violated without protection · {} prevented by Faultline · {} "
               "failed · {} server processes killed\n",
               counts.modes, counts.violated, counts.held, counts.failed, servers.killed());
    return counts.failed == 0 ? 0 : 1;
}
