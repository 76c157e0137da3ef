// Owns one worker process of a drill: its pipes, what it reported, and the signals that hit it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace faultline::lab {

// What a worker reports on its standard output, a line each, in this order:
//   idle                             a claim returned nothing
//   claimed N                        it holds N leases and has done nothing with them yet
//   committing N                     it has completed N jobs and will now commit
//   completed SUCCEEDED STALE        it has committed; STALE completions were refused
// A worker that was told to hold its one job at some point reports instead:
//   held JOB                         it stands there until its input ends
enum class Moment { idle, claimed, committing, completed, held };

struct Report {
    Moment moment;
    std::int64_t count;
    std::int64_t stale_count;
};

class FileDescriptor {
  public:
    FileDescriptor() = default;
    explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
    FileDescriptor(FileDescriptor &&other) noexcept;
    FileDescriptor &operator=(FileDescriptor &&other) noexcept;
    FileDescriptor(const FileDescriptor &) = delete;
    FileDescriptor &operator=(const FileDescriptor &) = delete;
    ~FileDescriptor();

    [[nodiscard]] int get() const { return descriptor_; }
    void close();

  private:
    int descriptor_ = -1;
};

class WorkerProcess {
  public:
    // Starts `program` with `arguments`; `name` is how the database knows this worker.
    WorkerProcess(std::string name, const std::string &program,
                  const std::vector<std::string> &arguments);
    WorkerProcess(WorkerProcess &&) = default;
    WorkerProcess &operator=(WorkerProcess &&) = delete;
    ~WorkerProcess();

    [[nodiscard]] const std::string &name() const { return name_; }
    [[nodiscard]] int report_descriptor() const { return reports_.get(); }
    [[nodiscard]] bool is_alive() const;
    [[nodiscard]] bool is_idle() const { return is_idle_; }

    // Reads what has arrived, without waiting. Throws when the worker has ended by itself.
    std::vector<Report> read_reports();

    // kill -9, and proof that this and nothing else ended the process.
    void kill_hard();
    // SIGSTOP; returns once the process has really stopped.
    void pause();
    void resume();
    // Ends the worker's input, which asks it to stop after its batch, and takes its last reports
    // and its exit status.
    std::vector<Report> stop();

  private:
    // What has arrived; returns whether more may come.
    bool read_some();
    std::vector<Report> take_reports();
    Report parse(const std::string &line) const;

    std::string name_;
    FileDescriptor commands_;
    FileDescriptor reports_;
    struct Child {
        explicit Child(pid_t id) : pid(id) {}
        Child(Child &&other) noexcept : pid(other.pid) { other.pid = -1; }
        pid_t pid;
    } child_{-1};
    std::string unread_;
    bool is_idle_ = false;
};

} // namespace faultline::lab
