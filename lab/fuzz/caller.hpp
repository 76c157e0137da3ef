// Owns one connection that calls functions with whatever arguments, in whatever transaction.
#pragma once

#include "functions.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace faultline::fuzz {

// What came of the calls. "00000" stands for success.
struct Account {
    std::int64_t calls = 0;
    std::int64_t cancelled = 0;
    std::map<std::string, std::int64_t> sqlstates;
    std::map<std::string, std::int64_t> contexts;
    std::set<std::string> succeeded;          // functions
    std::vector<std::string> internal_errors; // SQLSTATE class XX, with the statement
    double bytes_grown_max = 0;               // memory of one backend since the middle of its calls
    std::string largest_memory;               // of that one

    void add(const Account &other);
};

class Caller {
  public:
    Caller(const std::string &conninfo, std::uint64_t seed, int number);

    // Throws when the connection is lost or a statement neither ends nor can be cancelled.
    Account run(std::int64_t calls);

  private:
    using Transaction = void (Caller::*)();
    struct Context {
        const char *name;
        Transaction run;
    };
    static const std::vector<Context> &contexts();

    void next_transaction();
    void plain();
    void savepoint();
    void rolled_back();
    void read_only();
    void prepared();
    void cursor();
    void loop();
    void trigger();
    void parallel();

    // Gives queues, jobs and leases to name in the calls that follow.
    void prepare_ground();
    const Function &next_function();
    std::string next_call();
    void begin(const char *options = "");
    // True when it went well; ends a transaction that failed.
    bool step(const std::string &statement);
    bool call(const std::string &statement);
    bool run_statement(const std::string &statement, bool may_be_cancelled);
    double memory_bytes();
    std::string largest_memory();

    simulator::Session session_;
    std::uint64_t seed_;
    int number_;
    std::uint64_t step_ = 0;
    Choice choice_;
    std::vector<Function> functions_;
    const Function *function_ = nullptr; // of the last call
    Known known_;
    Account account_;
};

} // namespace faultline::fuzz
