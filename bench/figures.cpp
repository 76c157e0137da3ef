// Implements medians and ratios.
#include "figures.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace faultline::bench {

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double percentile(std::vector<double> values, double share) {
    if (values.empty())
        return 0;
    const auto place =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())) - 1);
    const auto nth = values.begin() + static_cast<std::ptrdiff_t>(place);
    std::nth_element(values.begin(), nth, values.end());
    return *nth;
}

Ratio ratio_of(const std::vector<double> &ours, const std::vector<double> &theirs) {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < ours.size(); ++round)
        ratios.push_back(ours[round] / theirs[round]);
    const auto [lowest, highest] = std::minmax_element(ratios.begin(), ratios.end());
    return {.median = median(ratios), .lowest = *lowest, .highest = *highest};
}

std::string range_text(const Ratio &ratio) {
    return fmt::format("({:.2f}..{:.2f})", ratio.lowest, ratio.highest);
}

std::string ratio_text(const Ratio &ratio) {
    return fmt::format("{:.2f} {}", ratio.median, range_text(ratio));
}

std::string grouped(double value) {
    std::string digits = fmt::format("{:.0f}", value);
    for (auto place = static_cast<int>(digits.size()) - 3; place > 0; place -= 3)
        digits.insert(static_cast<std::size_t>(place), 1, ',');
    return digits;
}

} // namespace faultline::bench
