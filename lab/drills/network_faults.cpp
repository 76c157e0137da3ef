// Implements the faults by the proxy, and waits until each has been seen to happen.
#include "network_faults.hpp"

#include <fmt/format.h>

namespace faultline::lab {

std::string conninfo_through(const TcpProxy &proxy) {
    return fmt::format("host=127.0.0.1 port={} user=postgres dbname={} sslmode=disable"
                       " gssencmode=disable",
                       proxy.port(), drill_database_name);
}

void NetworkFaults::count(int faults, Clock::time_point struck_at) {
    stage_.figures.faults += faults;
    stage_.figures.recovery_seconds.push_back(load_.seconds_until_working(struck_at));
}

void NetworkFaults::cut_at_commits() {
    constexpr int at_once = 2;
    load_.await_completions(20);
    const int before = proxy_.cut_at_commit();
    proxy_.cut_before_commit(at_once);
    proxy_.cut_after_commit(at_once);
    poll_until("commits to be cut off",
               [&] { return proxy_.cut_at_commit() >= before + 2 * at_once; });
    count(2 * at_once, Clock::now());
}

void NetworkFaults::delay(std::int64_t completions) {
    constexpr int milliseconds = 50;
    const int before = proxy_.delayed();
    proxy_.delay(milliseconds);
    load_.await_completions(completions);
    proxy_.delay(0);
    stage_.figures.more["pieces_delayed"] = proxy_.delayed();
    count(proxy_.delayed() > before ? 1 : 0, Clock::now());
}

void NetworkFaults::lose_requests() {
    load_.await_completions(20);
    const int before = proxy_.dropped();
    proxy_.drop_requests(true);
    lose_some(before);
    proxy_.drop_requests(false);
    cut(false);
}

void NetworkFaults::lose_answers() {
    load_.await_completions(20);
    const int before = proxy_.dropped();
    proxy_.drop_answers(true);
    lose_some(before);
    proxy_.drop_answers(false);
    cut(false);
}

void NetworkFaults::lose_some(int lost_before) {
    poll_until("something to be lost", [&] { return proxy_.dropped() > lost_before; });
    poll_until("the clients to have nothing to say", [&] {
        const int seen = proxy_.dropped();
        poll(nullptr, 0, 100);
        return seen == proxy_.dropped();
    });
}

void NetworkFaults::leave_half_open(std::int64_t completions) {
    load_.await_completions(20);
    cut(true);
    load_.await_completions(completions);
    stage_.figures.more["sessions_left_half_open"] = proxy_.half_open();
    stage_.figures.expect(proxy_.half_open() > 0, "no session was left half open");
    cut(false);
}

void NetworkFaults::cut(bool half_open) {
    const int before = proxy_.cut();
    const Clock::time_point struck_at = Clock::now();
    proxy_.cut_all(half_open);
    poll_until("connections to be cut", [&] { return proxy_.cut() > before; });
    count(proxy_.cut() - before, struck_at);
}

} // namespace faultline::lab
