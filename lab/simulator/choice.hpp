// Owns chance: every choice of a run is a hash of the seed, the step and what is chosen, never the
// next number of a stream, so that leaving steps out does not change what the others do.
#pragma once

#include <cstdint>
#include <string_view>

namespace faultline::simulator {

constexpr std::uint64_t mixed(std::uint64_t value) {
    value += 0x9E3779B97F4A7C15U;
    value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31U);
}

constexpr std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = 0xCBF29CE484222325U;
    for (const char character : text) {
        hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001B3U;
    }
    return hash;
}

class Choice {
  public:
    constexpr Choice(std::uint64_t seed, std::uint64_t step) : state_(mixed(mixed(seed) + step)) {}

    constexpr std::uint64_t bits(std::string_view purpose) const {
        return mixed(state_ ^ hash_of(purpose));
    }
    // 0 to count - 1.
    constexpr int below(std::string_view purpose, int count) const {
        return static_cast<int>(bits(purpose) % static_cast<std::uint64_t>(count));
    }
    constexpr bool chance(std::string_view purpose, int per_mille) const {
        return below(purpose, 1000) < per_mille;
    }
    // A position, each as likely as its weight; all of them 0: the first.
    template <typename Weights>
    constexpr int weighted(std::string_view purpose, const Weights &weights) const {
        int sum = 0;
        for (const int weight : weights) {
            sum += weight;
        }
        int left = sum > 0 ? below(purpose, sum) : 0;
        int position = 0;
        for (const int weight : weights) {
            if (left < weight) {
                return position;
            }
            left -= weight;
            ++position;
        }
        return 0;
    }

  private:
    std::uint64_t state_;
};

} // namespace faultline::simulator
