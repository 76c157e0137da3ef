// Reads files of steps.  A line that begins in the first column begins a step; indented lines
// belong to it.
#include "script.hpp"

#include <array>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

namespace faultline::lab {

namespace {

struct Phrase {
    std::string_view words;
    Action action;
};

constexpr std::array subject_phrases = {
    Phrase{" ends", Action::ends},           Phrase{" leaves", Action::leaves},
    Phrase{" is killed", Action::is_killed}, Phrase{" is frozen", Action::is_frozen},
    Phrase{" goes on", Action::goes_on},
};

constexpr std::array key_phrases = {
    Phrase{"time passes", Action::time},  Phrase{"server", Action::server},
    Phrase{"until", Action::until},       Phrase{"shell", Action::shell},
    Phrase{"violated", Action::violated}, Phrase{"holds", Action::holds},
};

std::string trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return std::string(text);
}

std::vector<std::string> words_of(const std::string &text) {
    std::istringstream words(text);
    std::vector<std::string> list;
    for (std::string word; words >> word;) {
        if (word.back() == ',')
            word.pop_back();
        list.push_back(word);
    }
    return list;
}

bool is_name(std::string_view text) {
    return !text.empty() &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == text.npos;
}

class Reader {
  public:
    explicit Reader(const std::string &path) : file_(path) {
        if (!file_)
            throw std::runtime_error("could not read " + path);
        script_.path = path;
    }

    Script read() {
        for (std::string line; std::getline(file_, line);) {
            line_++;
            if (trimmed(line).empty() || line.front() == '#')
                continue;
            if (line.front() == ' ' || line.front() == '\t')
                continue_step(trimmed(line));
            else
                begin_step(trimmed(line));
        }
        check_whole();
        return std::move(script_);
    }

  private:
    [[noreturn]] void fail(const std::string &what) const {
        throw ScriptError(script_.path, line_, what);
    }

    void begin_step(const std::string &line) {
        for (const Phrase &phrase : subject_phrases) {
            if (line.ends_with(phrase.words) &&
                is_name(line.substr(0, line.size() - phrase.words.size())))
                return add(phrase.action, line.substr(0, line.size() - phrase.words.size()), "");
        }
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos)
            fail("neither \"NAME: STATEMENT\" nor a step that lab/README.md knows: " + line);
        const std::string key = line.substr(0, colon);
        const std::string text = trimmed(std::string_view(line).substr(colon + 1));
        if (key == "queue")
            return choose_queue(words_of(text));
        if (key == "needs")
            return need(text);
        for (const Phrase &phrase : key_phrases) {
            if (key == phrase.words)
                return add(phrase.action, "", text);
        }
        if (!is_name(key))
            fail("\"" + key + "\" is no name of a session");
        add(Action::statement, key, text);
    }

    void choose_queue(const std::vector<std::string> &words) {
        if (words.empty() || (words[0] != "faultline" && words[0] != "unsafe"))
            fail("a queue is \"faultline\", or \"unsafe\" and files of lab/unsafe");
        script_.is_faultline = words[0] == "faultline";
        script_.unsafe.assign(words.begin() + 1, words.end());
    }

    void need(const std::string &text) {
        if (text != "preload")
            fail("a script can need \"preload\" only");
        script_.needs_preload = true;
    }

    void add(Action action, const std::string &who, const std::string &text) {
        Step step{action, line_, who, text, "", {}, {}};
        if (action == Action::violated || action == Action::holds)
            std::swap(step.text, step.sentence);
        script_.steps.push_back(step);
        const bool known_crash = action == Action::is_killed || action == Action::server;
        script_.crashes = script_.crashes || known_crash;
    }

    void continue_step(const std::string &line) {
        if (script_.steps.empty())
            fail("indented, but there is no step that it belongs to");
        Step &step = script_.steps.back();
        if (line.starts_with("->")) {
            step.expected.push_back(trimmed(std::string_view(line).substr(2)));
            script_.crashes = script_.crashes || step.expected.back() == "crash";
        } else if (line.starts_with("into ")) {
            step.into = words_of(line.substr(5));
        } else if (!step.expected.empty() || !step.into.empty()) {
            fail("a statement goes on after what is expected of it");
        } else {
            step.text += (step.text.empty() ? "" : "\n") + line;
        }
    }

    void check_whole() const {
        if (!script_.is_faultline && script_.unsafe.empty())
            fail("no line says which queue: \"queue: faultline\" or \"queue: unsafe FILE...\"");
        const Action wanted = script_.is_faultline ? Action::holds : Action::violated;
        for (const Step &step : script_.steps) {
            if (step.action == wanted)
                return;
        }
        fail(script_.is_faultline ? "nothing is said to hold" : "nothing is said to be violated");
    }

    std::ifstream file_;
    Script script_;
    int line_ = 0;
};

} // namespace

Script read_script(const std::string &path) { return Reader(path).read(); }

} // namespace faultline::lab
