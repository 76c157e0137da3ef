// Owns a client's connection, which is opened again whenever it is lost, and the asking again until
// there is an answer. One thread's.
#pragma once

#include "record.hpp"

#include "faultline/api.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace faultline::lab {

inline constexpr int idle_milliseconds = 10; // before a client asks again

// Where the clients of a load connect to when they connect next, and whether they go on trying.
class Route {
  public:
    explicit Route(std::string conninfo) : conninfo_(std::move(conninfo)) {}

    void lead_to(const std::string &conninfo);
    [[nodiscard]] std::string conninfo() const;
    // From now on an error is the end of a call.
    void abandon() { is_abandoned_ = true; }
    [[nodiscard]] bool is_abandoned() const { return is_abandoned_; }

  private:
    mutable std::mutex mutex_;
    std::string conninfo_;
    std::atomic<bool> is_abandoned_ = false;
};

// What a thread of a load does; an error goes into the record, unless the route was abandoned.
void run_recorded(const Route &route, Record &record, const std::function<void()> &body);

class ReconnectingClient {
  public:
    ReconnectingClient(const Route &route, Record &record, std::string name)
        : route_(route), record_(record), name_(std::move(name)) {}

    // call(connection, in doubt): repeated until it returns, or fails for good. How long its last
    // try took goes into the record, under what it is called.
    template <typename Call> auto until_answered(const char *what, Call call) {
        in_doubt_ = false;
        while (true) {
            try {
                client::Connection &open = connection();
                const Clock::time_point start = Clock::now();
                auto answer = call(open, in_doubt_);
                record_.time(what, seconds_since(start));
                return answer;
            } catch (const client::Error &error) {
                prepare_to_repeat(error);
            }
        }
    }
    // Whether an answer to the last call was lost on the way.
    [[nodiscard]] bool was_in_doubt() const { return in_doubt_; }

  private:
    client::Connection &connection();
    // Throws what cannot be repeated.
    void prepare_to_repeat(const client::Error &error);

    const Route &route_;
    Record &record_;
    const std::string name_;
    std::unique_ptr<client::Connection> connection_;
    bool in_doubt_ = false;
};

} // namespace faultline::lab
