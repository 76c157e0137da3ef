// Owns how figures of several rounds become one, and how a figure is printed.
#pragma once

#include <string>
#include <vector>

namespace faultline::bench {

double median(std::vector<double> values);
// The smallest value that the given share of all does not exceed; 0 of none.
double percentile(std::vector<double> values, double share);

// One figure of each round, and its median.
template <typename Round>
std::vector<double> values_of(const std::vector<Round> &rounds, double Round::*figure) {
    std::vector<double> values;
    for (const Round &round : rounds)
        values.push_back(round.*figure);
    return values;
}
template <typename Round>
double median_of(const std::vector<Round> &rounds, double Round::*figure) {
    return median(values_of(rounds, figure));
}

// Ratios are taken inside a round, where both met the same machine, and only then their median:
// two medians of a noisy machine need not belong together.
struct Ratio {
    double median;
    double lowest;
    double highest;
};
Ratio ratio_of(const std::vector<double> &ours, const std::vector<double> &theirs);

std::string range_text(const Ratio &ratio); // "(0.93..1.17)"
std::string ratio_text(const Ratio &ratio); // "1.09 (0.93..1.17)"
std::string grouped(double value);          // 12345 as "12,345"

} // namespace faultline::bench
