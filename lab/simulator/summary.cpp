// Implements the figures.
#include "summary.hpp"

#include "marks.hpp"

#include <fmt/format.h>
#include <fstream>

namespace faultline::simulator {

namespace {
constexpr int seeds_that_should_hit_all = 100;
}

void Summary::add(const RunReport &report) {
    ++seeds_;
    failed_ += report.violations.empty() ? 0 : 1;
    calls_ += report.calls;
    rounds_max_ = std::max(rounds_max_, report.liveness_rounds);
    for (std::size_t fault = 0; fault < fault_count; ++fault) {
        faults_[fault] += report.faults[fault];
    }
    for (const std::string &mark : report.marks) {
        ++marks_[mark];
    }
    account_.acknowledged += report.account.acknowledged;
    account_.lost += report.account.lost;
    account_.unexpected += report.account.unexpected;
    account_.duplicated += report.account.duplicated;
    account_.recovered += report.account.recovered;
}

std::vector<std::string> Summary::missing_marks() const {
    std::vector<std::string> missing;
    for (const std::string &mark : all_marks()) {
        if (!marks_.contains(mark)) {
            missing.push_back(mark);
        }
    }
    return missing;
}

void Summary::print() const {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
    std::string faults;
    for (std::size_t fault = 1; fault < fault_count; ++fault) {
        faults +=
            fmt::format("{}{} {}", faults.empty() ? "" : ", ", fault_names[fault], faults_[fault]);
    }
    fmt::print("seeds {} · failed {} · different when repeated {} · calls {} · {:.0f} s\n", seeds_,
               failed_, differences_, calls_, seconds);
    fmt::print("acknowledged {} · lost {} · unexpected {} · duplicated {} · recovered {} · "
               "rounds to rest at most {}\n",
               account_.acknowledged, account_.lost, account_.unexpected, account_.duplicated,
               account_.recovered, rounds_max_);
    fmt::print("faults: {}\n", faults);
    const std::vector<std::string> missing = missing_marks();
    fmt::print("marks {}/{}\n", all_marks().size() - missing.size(), all_marks().size());
    for (const std::string &mark : missing) {
        if (seeds_ >= seeds_that_should_hit_all) {
            fmt::print("  never: {}\n", mark);
        }
    }
}

void Summary::write_json(const std::string &path) const {
    nlohmann::json faults, marks;
    for (std::size_t fault = 1; fault < fault_count; ++fault) {
        faults[std::string(fault_names[fault])] = faults_[fault];
    }
    for (const std::string &mark : all_marks()) {
        const auto hit = marks_.find(mark);
        marks[mark] = hit == marks_.end() ? 0 : hit->second;
    }
    std::ofstream(path) << nlohmann::json({{"seeds", seeds_},
                                           {"failed", failed_},
                                           {"different_when_repeated", differences_},
                                           {"calls", calls_},
                                           {"acknowledged", account_.acknowledged},
                                           {"lost", account_.lost},
                                           {"unexpected", account_.unexpected},
                                           {"duplicated", account_.duplicated},
                                           {"recovered", account_.recovered},
                                           {"rounds_to_rest_at_most", rounds_max_},
                                           {"faults", faults},
                                           {"seeds_by_mark", marks}})
                               .dump(2)
                        << '\n';
}

} // namespace faultline::simulator
