// Implements reading and writing of calls.
#include "verb.hpp"

#include <fmt/format.h>
#include <sstream>

namespace faultline::conformance {

namespace {
constexpr std::int64_t second_us = 1'000'000;
}

std::vector<std::string> split(const std::string &text, char mark) {
    std::vector<std::string> parts;
    std::string part;
    for (std::stringstream stream(text); std::getline(stream, part, mark);) {
        parts.push_back(part);
    }
    return parts;
}

std::optional<std::int64_t> Verb::number(const std::string &option) const {
    const auto found = options.find(option);
    return found == options.end() ? std::nullopt : std::optional(std::stoll(found->second));
}

std::optional<std::int64_t> Verb::microseconds(const std::string &option) const {
    const std::optional<std::int64_t> seconds = number(option);
    return seconds ? std::optional(*seconds * second_us) : std::nullopt;
}

std::vector<std::string> Verb::list() const { return split(words.at(0), ','); }

std::vector<Held> Verb::held() const {
    std::vector<Held> all;
    for (const std::string &text : list()) {
        const std::size_t slash = text.find('/');
        all.push_back({std::stoi(text.substr(0, slash)), std::stoi(text.substr(slash + 1))});
    }
    return all;
}

Verb parse_verb(const std::string &line) {
    constexpr const char *arrow = "->";
    const std::size_t answer = line.find(arrow);
    Verb verb;
    std::stringstream stream(line.substr(0, answer));
    stream >> verb.name;
    for (std::string word; stream >> word;) {
        const std::size_t equals = word.find('=');
        if (equals != std::string::npos) {
            verb.options[word.substr(0, equals)] = word.substr(equals + 1);
        } else if (word == "discard") {
            verb.options[word] = "";
        } else {
            verb.words.push_back(word);
        }
    }
    if (answer != std::string::npos) {
        const std::size_t begin = line.find_first_not_of(' ', answer + 2);
        verb.expected = begin == std::string::npos ? "" : line.substr(begin);
    }
    return verb;
}

std::string text_of(const Verb &verb) {
    std::string text = verb.name;
    for (const std::string &word : verb.words) {
        text += ' ' + word;
    }
    for (const auto &[name, value] : verb.options) {
        text += ' ' + name + (value.empty() ? "" : '=' + value);
    }
    return text;
}

std::string seconds_text(std::int64_t microseconds) {
    return microseconds % second_us == 0
               ? std::to_string(microseconds / second_us)
               : fmt::format("{}", static_cast<double>(microseconds) / second_us);
}

} // namespace faultline::conformance
