// Owns a network that can be disturbed: connections on a port of the loopback interface, passed on
// to the socket of a server, a thread for each.
#pragma once

#include "worker_process.hpp"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace faultline::lab {

class TcpProxy {
  public:
    // socket_path: of the server.
    explicit TcpProxy(std::string socket_path);
    ~TcpProxy();

    [[nodiscard]] int port() const { return port_; }

    // Each way, for every piece that passes.
    void delay(int milliseconds) { delay_milliseconds_ = milliseconds; }
    // One way only: what clients send, or what the server answers, gets lost.
    void drop_requests(bool drops) { drops_requests_ = drops; }
    void drop_answers(bool drops) { drops_answers_ = drops; }
    // The next connections that send COMMIT are cut: before the server has heard it, or after it
    // has answered and before the client hears that.
    void cut_before_commit(int times) { cuts_before_commit_ = times; }
    void cut_after_commit(int times) { cuts_after_commit_ = times; }
    // All connections there are. half_open: the server does not hear of it until this is called
    // again without.
    void cut_all(bool half_open);

    // What has happened.
    [[nodiscard]] int delayed() const { return delayed_; }
    [[nodiscard]] int dropped() const { return dropped_; }
    [[nodiscard]] int cut_at_commit() const { return cut_at_commit_; }
    [[nodiscard]] int cut() const { return cut_; }
    [[nodiscard]] int half_open() const { return half_open_; }

  private:
    void accept_all(const std::stop_token &stop);
    void pass(const std::stop_token &stop, FileDescriptor client);
    bool pass_request(int from, int to);
    bool pass_answer(int from, int to);

    const std::string socket_path_;
    FileDescriptor listener_;
    int port_ = 0;
    std::atomic<int> delay_milliseconds_ = 0;
    std::atomic<bool> drops_requests_ = false;
    std::atomic<bool> drops_answers_ = false;
    std::atomic<int> cuts_before_commit_ = 0;
    std::atomic<int> cuts_after_commit_ = 0;
    std::atomic<int> cut_generation_ = 0; // connections older than this are cut
    std::atomic<bool> keeps_server_side_ = false;
    std::atomic<int> delayed_ = 0;
    std::atomic<int> dropped_ = 0;
    std::atomic<int> cut_at_commit_ = 0;
    std::atomic<int> cut_ = 0;
    std::atomic<int> half_open_ = 0;        // at this moment
    std::vector<std::jthread> connections_; // of the acceptor
    std::jthread acceptor_;
};

} // namespace faultline::lab
