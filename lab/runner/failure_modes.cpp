// The program: plays the scripts of the failure modes that it is given, and tells what came of
// them.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
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
    std::string side = "both"; // repro, prevent, control
    bool faulty = false;
    bool plain = false;
    bool verbose = false;
};

struct Counts {
    int modes = 0;
    int violated = 0;
    int held = 0;
    int withstood = 0; // the same steps, with the protection
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
    app.add_flag("--faulty", options.faulty, "scripts that must fail, as their first lines say");
    app.add_option("--calm", options.calm_directory, "the cluster that nobody kills")->required();
    app.add_option("--crashing", options.crashing_directory, "the one that may be killed")
        ->required();
    app.add_option("--side", options.side, "which of the scripts; control: the repro on queue.sql")
        ->check(CLI::IsMember({"both", "repro", "prevent", "control"}));
    app.add_flag("--plain", options.plain, "the servers do not preload the library");
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
        if (options.plain && script.needs_preload)
            return "prevent needs the preloaded library";
        lab::Player(script, servers.server_for(script), options.verbose).play();
        (is_repro ? counts.violated : counts.held)++;
        return is_repro ? "repro violated (as it must)" : "prevent held";
    } catch (const std::runtime_error &error) {
        counts.failed++;
        std::cerr << error.what() << '\n';
        return is_repro ? "REPRO DID NOT GO AS WRITTEN" : "PREVENT FAILED";
    }
}

// Whether a variant brings calls, or a clock, that the protected queue does not have.
bool adds_calls(const lab::Script &script) {
    for (const std::string &name : script.unsafe) {
        std::ifstream file("lab/unsafe/" + name + ".sql");
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with("CREATE FUNCTION") || line.find(" FUNCTION q.now()") != line.npos)
                return true;
        }
    }
    return false;
}

// The repro on the queue that has all its protections: what was left out is what was missing.
std::string play_control(const std::string &path, const Options &options, Servers &servers,
                         Counts &counts) {
    lab::Script script = lab::read_script(path);
    if (script.unsafe.front() == "queue")
        return "queue.sql has no protection against it";
    if (adds_calls(script))
        return "no control: the unsafe variant has calls, or a clock, of its own";
    script.unsafe = {"queue"};
    try {
        lab::Player(script, servers.server_for(script), options.verbose).play();
    } catch (const lab::ScriptError &error) {
        counts.withstood++;
        return "with the protection it does not happen, see line " + std::to_string(error.line());
    }
    counts.failed++;
    return "HAPPENS WITH THE PROTECTION AS WELL";
}

void play_mode(const std::filesystem::path &folder, const Options &options, Servers &servers,
               Counts &counts) {
    const std::string name = folder.filename();
    std::string said;
    if (options.side == "control")
        said = play_control(folder / "repro.steps", options, servers, counts);
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

// Whether the runner notices what is wrong with a script.
void play_faulty(const std::string &path, Servers &servers, Counts &counts) {
    std::ifstream file(path);
    std::string wanted;
    std::getline(file, wanted);
    wanted.erase(0, wanted.find_first_not_of("# "));
    std::string said = "nothing";
    try {
        const lab::Script script = lab::read_script(path);
        lab::Player(script, servers.server_for(script), false).play();
    } catch (const std::runtime_error &error) {
        said = error.what();
    }
    counts.modes++;
    if (said.find(wanted) != said.npos)
        return;
    counts.failed++;
    fmt::print("{}: the runner says {}, not: {}\n", path, said, wanted);
}

void print_account(const Options &options, const Counts &counts, int killed) {
    if (options.faulty) {
        fmt::print("{} faulty scripts · {} not noticed\n", counts.modes, counts.failed);
        return;
    }
    fmt::print("{} failure modes: ", counts.modes);
    if (options.side == "control")
        fmt::print("{} withstood by the protected queue", counts.withstood);
    else
        fmt::print("{} violated without protection · {} prevented by Faultline", counts.violated,
                   counts.held);
    fmt::print(" · {} failed · {} server processes killed\n", counts.failed, killed);
}

} // namespace

int main(int argc, char **argv) {
    const Options options = read_options(argc, argv);
    Servers servers(options);
    Counts counts;
    for (const std::string &folder : options.folders)
        options.faulty ? play_faulty(folder, servers, counts)
                       : play_mode(folder, options, servers, counts);
    print_account(options, counts, servers.killed());
    return counts.failed == 0 ? 0 : 1;
}
