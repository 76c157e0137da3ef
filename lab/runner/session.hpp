// Owns the connections of the actors in a script: statements that are sent, and answers that may
// take their time.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace faultline::lab {

// How long a script waits for what it expects.
inline constexpr std::chrono::seconds patience{30};
inline constexpr std::chrono::milliseconds pause_between_looks{5};

struct Answer {
    std::string sqlstate; // of the first error; empty when it succeeded
    std::string message;
    bool connection_lost = false;
    std::vector<std::vector<std::string>> rows; // of the last result with columns
};

// As expectations are written: "a | b" for each row, "nothing", "error CODE" or "lost".
std::vector<std::string> as_lines(const Answer &answer);

class Session {
  public:
    Session(const std::string &conninfo, const std::string &name);

    void send(const std::string &sql);
    // Nothing while the answer is not there; waits for it up to the given time.
    std::optional<Answer> answer_within(std::chrono::milliseconds time);
    Answer run(const std::string &sql);

    [[nodiscard]] bool is_busy() const { return busy_; }
    [[nodiscard]] int server_process_id() const { return PQbackendPID(handle_.get()); }

  private:
    struct Finish {
        void operator()(PGconn *handle) const noexcept { PQfinish(handle); }
    };
    std::unique_ptr<PGconn, Finish> handle_;
    bool busy_ = false;
    Answer answer_; // as far as it has come
};

} // namespace faultline::lab
