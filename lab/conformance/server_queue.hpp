// Owns the real queue as the conformance suite sees it: ids and tokens of the server under the
// names that all implementations share.
#pragma once

#include "faultline/connection.hpp"
#include "verb.hpp"

namespace faultline::conformance {

class ServerQueue final : public QueuePort {
  public:
    // The database must be empty but for the extension; its clock becomes virtual.
    ServerQueue(const std::string &conninfo, std::string path);

    const char *name() const override { return path_.c_str(); }
    void start_over() override;
    std::string call(const Verb &verb) override;
    std::string rows() override;

  private:
    std::string perform(const Verb &verb);
    std::string statement(const Verb &verb);
    void change_transaction(const Verb &verb);
    void roll_back();
    std::string enqueue(const Verb &verb);
    std::string claim(const Verb &verb);
    std::string of_leases(const Verb &verb);
    std::string of_jobs(const Verb &verb);

    client::Result run(const std::string &sql, const client::Parameters &parameters = {}) {
        return connection_.execute(sql, parameters);
    }
    // Queues of one history never meet those of the next.
    std::string queue_name(const std::string &queue) const;
    std::string queue_array(const std::vector<std::string> &queues) const;
    int number_of(std::int64_t job_id);
    std::int64_t id_of(int number) const;
    std::int64_t token_of(const Held &held) const;
    std::string numbers(const client::Result &result);
    std::string verdicts(const client::Result &result);

    client::Connection connection_;
    const std::string path_;
    int round_ = 0;
    std::vector<std::string> queues_;
    std::map<std::int64_t, int> numbers_;
    std::vector<std::int64_t> ids_; // of number 1 and on
    std::map<std::pair<int, int>, std::int64_t> tokens_;
    bool in_transaction_ = false, has_savepoint_ = false;
};

} // namespace faultline::conformance
