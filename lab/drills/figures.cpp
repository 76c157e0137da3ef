// Implements the telling of figures.
#include "figures.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace faultline::lab {

namespace {

struct Recovery {
    double median;
    double most; // 95 of 100
    double longest;
};

Recovery recovery_of(const Figures &figures) {
    return {percentile(figures.recovery_seconds, 0.50), percentile(figures.recovery_seconds, 0.95),
            percentile(figures.recovery_seconds, 1.00)};
}

// The first of them, each in a line of its own.
std::string listed(const Figures &figures, const char *what,
                   const std::vector<std::string> &reasons) {
    constexpr std::size_t listed_max = 20;
    std::string lines;
    for (std::size_t number = 0; number < std::min(reasons.size(), listed_max); ++number)
        lines += fmt::format("\n{}: {}{}", figures.drill, what, reasons[number]);
    return lines;
}

const char *verdict_of(const Figures &figures) {
    if (!figures.skipped.empty())
        return "skipped";
    return is_passed(figures) ? "passed" : "FAILED";
}

} // namespace

void Figures::expect(bool holds, const std::string &what) {
    if (!holds)
        failures.push_back(what);
}

double percentile(std::vector<double> values, double share) {
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    const double rank = std::ceil(share * static_cast<double>(values.size()));
    return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

bool is_passed(const Figures &figures) {
    return figures.faults > 0 && (figures.lost == 0 || figures.may_lose) &&
           figures.unexpected == 0 && figures.duplicate_effects == 0 &&
           figures.violations.empty() && figures.failures.empty();
}

std::string as_line(const Figures &figures) {
    if (!figures.skipped.empty())
        return fmt::format("{} skipped: {}", figures.drill, figures.skipped);
    const Recovery recovery = recovery_of(figures);
    std::string line = fmt::format(
        "{} {}: faults {} · acknowledged {} · lost {} · unexpected {} · duplicate effects {} · "
        "duplicate executions {} · recovered {} · stale writes rejected {} · recovery p50/p95/max "
        "{:.2f}/{:.2f}/{:.2f} s · violations {} · {:.1f} s",
        figures.drill, verdict_of(figures), figures.faults, figures.acknowledged, figures.lost,
        figures.unexpected, figures.duplicate_effects, figures.duplicate_executions,
        figures.recovered, figures.stale_rejected, recovery.median, recovery.most, recovery.longest,
        figures.violations.size(), figures.seconds);
    if (figures.faults == 0)
        line += fmt::format("\n{}: the fault did not happen", figures.drill);
    return line + listed(figures, "", figures.failures) +
           listed(figures, "violated: ", figures.violations);
}

std::string as_json(const Figures &figures) {
    const Recovery recovery = recovery_of(figures);
    const nlohmann::ordered_json json = {
        {"drill", figures.drill},
        {"title", figures.title},
        {"result", verdict_of(figures)},
        {"skipped", figures.skipped},
        {"faults", figures.faults},
        {"acknowledged", figures.acknowledged},
        {"lost", figures.lost},
        {"unexpected", figures.unexpected},
        {"duplicate_effects", figures.duplicate_effects},
        {"duplicate_executions", figures.duplicate_executions},
        {"recovered", figures.recovered},
        {"stale_writes_rejected", figures.stale_rejected},
        {"recoveries", figures.recovery_seconds.size()},
        {"recovery_seconds_p50", recovery.median},
        {"recovery_seconds_p95", recovery.most},
        {"recovery_seconds_max", recovery.longest},
        {"violations", figures.violations},
        {"failures", figures.failures},
        {"seconds", figures.seconds},
        {"more", figures.more},
    };
    return json.dump(2);
}

std::string as_table(const std::vector<Figures> &drills) {
    std::string table =
        "| drill | fault | faults | acknowledged | lost | unexpected | duplicate effects | "
        "duplicate executions | recovered | stale writes rejected | recovery p50/p95/max, s | "
        "violations | result |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
    for (const Figures &figures : drills) {
        const Recovery recovery = recovery_of(figures);
        table += fmt::format(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.2f} / {:.2f} / {:.2f} | {} | "
            "{} |\n",
            figures.drill, figures.title, figures.faults, figures.acknowledged, figures.lost,
            figures.unexpected, figures.duplicate_effects, figures.duplicate_executions,
            figures.recovered, figures.stale_rejected, recovery.median, recovery.most,
            recovery.longest, figures.violations.size(), verdict_of(figures));
    }
    return table;
}

} // namespace faultline::lab
