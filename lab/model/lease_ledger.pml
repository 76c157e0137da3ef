/* The protocol of leases and the ledger: claim, settle, apply, complete, cancel, redrive, extend
   and reconciliation for one job, its transaction ids, its workers, and all that can go wrong.

   An atomic{} is one committed database transaction that holds the job's row lock.  Between two of
   them anything may happen: workers crash, pause, come back with old tokens and ask again.
   README.md says what is left out; `run` removes protections one by one and looks what breaks.

   Switches are hidden variables, set from the environment when the verifier starts, so that one
   compilation serves all scenarios and all mutants.  They are no part of the state. */

#define WORKERS_MAX 3
#define IDS 2 /* transaction ids: of generation 0 and 1, or two that workers made up */

mtype:job_state = { queued, running, succeeded, failed, cancelled, gone };
mtype:transaction_state = { none, INIT, APPLIED, RECONCILED, FAILED };
/* How the attempt of a token ended: what ended_attempts and finished_jobs know by token. */
mtype:how_ended = { not_ended, ended_succeeded, ended_retrying, ended_failed, ended_cancelled,
                 ended_released, ended_expired };
mtype:verb = { call_fail, call_release };
mtype:answer_given = { no_reply, applied, exists, refused };
mtype:work = { nothing, expiry, r0, r3, r4 };

/* Everything that is stored. */
typedef Database {
  mtype:job_state job;
  bool lease;            /* the lease has not ended */
  bool cancel_requested;
  bit generation;
  byte counted;          /* attempts that count, of this generation */
  byte attempt;          /* all claims; kept in the scenario failover only */
  byte holder;           /* whose token is current: worker + 1; 0: of one who forgot it */
  mtype:transaction_state state[IDS];
  byte entries[IDS];     /* entries under each transaction id */
  mtype:how_ended ending[WORKERS_MAX];
}
Database db;
Database standby;        /* what a standby has received; scenario failover */

/* What workers remember. */
bool remembers[WORKERS_MAX];  /* a token */
byte known_attempt[WORKERS_MAX];

/* What only an observer sees. */
byte starts;             /* claims of this generation that were not given back */
byte releases_left, revivals_left;
bool stale_accepted, lease_stolen, answer_changed, job_reopened, transaction_reopened;
bool stopped, passed;    /* everything stopped; one pass of reconciliation was made then */
bool copied, promoted;
bool happened;           /* the event that `watched` names */

/* Scenario */
hidden byte workers, maintainers, attempts_max, generations;
hidden byte declared, stop_allowed, failover, by_hand, strict_lease;
hidden byte budgets;     /* so that liveness can be asked: a worker gives back and revives seldom */
/* Protections: true unless removed */
hidden byte fence, extend_fence, random_token, unique_job, unique_id, state_check, exists_first;
hidden byte unique_generation;
hidden byte one_commit, entry_first, step_guard, agree_guard, complete_needs_entry;
hidden byte expiry_sees_entry, fail_sees_entry, release_sees_entry, cancel_sees_entry;
hidden byte redrive_sees_entry, settle_fails_intent, cancel_fails_intent, new_id;
hidden byte count_at_claim, sweeper_guard, reconcile_guard;
hidden byte expires, r3_runs, r4_runs, max_runtime, releases_end;
hidden byte watched;

c_decl {
\#include <string.h>
static int listed(const char *variable, const char *name)
{
  const char *list = getenv(variable), *at = list;
  size_t length = strlen(name);
  while (at && (at = strstr(at, name)) != 0) {
    if ((at == list || at[-1] == ' ') && (at[length] == 0 || at[length] == ' '))
      return 1;
    at += length;
  }
  return 0;
}
static const char *broken[32];
/* Notes the property, once, and answers true: the search goes on. */
static int is_broken(const char *property)
{
  int i = 0;
  while (broken[i] && strcmp(broken[i], property) != 0)
    i++;
  if (!broken[i]) {
    broken[i] = property;
    printf("broken: %s\n", property);
  }
  return 1;
}
/* Spin wants no parentheses in a c_expr. */
\#define BROKEN_one_entry is_broken("one_entry")
\#define BROKEN_applied_has_entry is_broken("applied_has_entry")
\#define BROKEN_init_has_no_entry is_broken("init_has_no_entry")
\#define BROKEN_failed_has_no_entry is_broken("failed_has_no_entry")
\#define BROKEN_success_has_entry is_broken("success_has_entry")
\#define BROKEN_no_success_no_entry is_broken("no_success_no_entry")
\#define BROKEN_end_ends_intent is_broken("end_ends_intent")
\#define BROKEN_job_is_final is_broken("job_is_final")
\#define BROKEN_transaction_is_final is_broken("transaction_is_final")
\#define BROKEN_attempts_bounded is_broken("attempts_bounded")
\#define BROKEN_no_stale_write is_broken("no_stale_write")
\#define BROKEN_no_lease_stolen is_broken("no_lease_stolen")
\#define BROKEN_same_answer is_broken("same_answer")
\#define BROKEN_one_rule is_broken("one_rule")
\#define BROKEN_one_pass is_broken("one_pass")
static int number(const char *variable, int otherwise)
{
  const char *value = getenv(variable);
  return value ? atoi(value) : otherwise;
}
};

inline read_switches() {
  c_code {
    workers = number("MODEL_WORKERS", 2);
    maintainers = number("MODEL_MAINTAINERS", 2);
    attempts_max = number("MODEL_ATTEMPTS", 2);
    generations = number("MODEL_GENERATIONS", 2);
    watched = number("MODEL_WATCHED", 0);
    declared = !listed("MODEL_SCENARIO", "undeclared");
    stop_allowed = listed("MODEL_SCENARIO", "stop");
    failover = listed("MODEL_SCENARIO", "failover");
    by_hand = listed("MODEL_SCENARIO", "by_hand");
    budgets = failover || listed("MODEL_SCENARIO", "budgets");
    strict_lease = listed("MODEL_SCENARIO", "strict_lease");
    #define PROTECTION(name) name = !listed("MODEL_REMOVED", #name)
    PROTECTION(fence); PROTECTION(extend_fence); PROTECTION(random_token);
    PROTECTION(unique_job); PROTECTION(unique_generation); PROTECTION(unique_id);
    PROTECTION(state_check);
    PROTECTION(exists_first); PROTECTION(one_commit); PROTECTION(entry_first);
    PROTECTION(step_guard);
    PROTECTION(agree_guard); PROTECTION(complete_needs_entry);
    PROTECTION(expiry_sees_entry); PROTECTION(fail_sees_entry);
    PROTECTION(release_sees_entry); PROTECTION(cancel_sees_entry);
    PROTECTION(redrive_sees_entry); PROTECTION(settle_fails_intent);
    PROTECTION(cancel_fails_intent); PROTECTION(new_id); PROTECTION(count_at_claim);
    PROTECTION(sweeper_guard); PROTECTION(reconcile_guard); PROTECTION(expires);
    PROTECTION(r3_runs); PROTECTION(r4_runs); PROTECTION(max_runtime);
    PROTECTION(releases_end);
  }
}

/* Events for which a run can watch, to show that the model is not empty. */
#define redriven_and_succeeded 1
#define exists_to_a_stranger 2
#define succeeded_by_entry 3
#define stale_call_refused 4
#define late_call_accepted 5
#define lease_revived 6
#define running_job_cancelled 7
#define cancel_came_too_late 8
#define failed_id_refused 9
#define asked_again_after_end 10
#define guard_made_a_sweeper_stop 11
#define guard_made_a_reconciler_stop 12
#define reconciled_by_r0 13
#define reconciled_by_r3 14
#define reconciled_by_r4 15
#define entry_forgotten_by_failover 16
#define claim_forgotten_by_failover 17
#define second_id_refused 18

inline event(name) {
  if
  :: watched == name -> happened = true
  :: else
  fi
}

#define effect (db.entries[0] + db.entries[1] > 0)
#define has_entry(id) (db.state[id] == APPLIED || db.state[id] == RECONCILED)
#define lease_ended (db.job == running && !db.lease)
#define ended(j) (j == succeeded || j == failed || j == cancelled || j == gone)
#define current_id (new_id && db.generation == 1)
#define replaced(id) (declared && new_id && id < db.generation)
#define over(id) (replaced(id) || ended(db.job))

/* Reconciliation's rules, each as it is stated, so that it can be asked whether two apply. */
#define rule_r0(id) (db.state[id] == INIT && db.entries[id] > 0)
#define rule_r1(id) (lease_ended && db.entries[id] > 0)
#define rule_r2(id) (lease_ended && !effect && id == current_id)
#define rule_r3(id) (db.state[id] == INIT && db.entries[id] == 0 && over(id))
#define rule_r4(id) (db.state[id] == APPLIED && db.entries[id] > 0 && !replaced(id) && \
                     (db.job == succeeded || db.job == gone))
/* What the triggers of ledger_transactions let through. */
#define may_step(id, to) \
  ((!step_guard || (db.state[id] == INIT && to != RECONCILED) || \
    (db.state[id] == APPLIED && to == RECONCILED)) && \
   (!agree_guard || (to == FAILED) == (db.entries[id] == 0)))
#define rules(id) (rule_r0(id) + rule_r1(id) + rule_r2(id) + rule_r3(id) + rule_r4(id))

/* The fence: does the token of this worker count? */
#define in_force(w) (db.job == running && (!strict_lease || db.lease) && \
                     (!fence || (random_token -> db.holder == w + 1 : \
                                                 known_attempt[w] == db.attempt)))

inline accept(w) {
  stale_accepted = stale_accepted || db.holder != w + 1;
  if
  :: !db.lease -> event(late_call_accepted)
  :: else
  fi
}

inline move_job(to) {
  job_reopened = job_reopened || db.job == succeeded || db.job == cancelled;
  db.job = to
}

inline move_transaction(id, to) {
  transaction_reopened = transaction_reopened ||
    ((db.state[id] == FAILED || db.state[id] == RECONCILED) && db.state[id] != to);
  db.state[id] = to
}

/* The attempt is over, and the job is where it goes now.  A token ends once. */
inline leave_running(how, where) {
  if
  :: db.holder > 0 ->
     answer_changed = answer_changed || db.ending[db.holder - 1] != not_ended;
     db.ending[db.holder - 1] = how
  :: else
  fi;
  db.holder = 0; db.lease = false; db.cancel_requested = false;
  move_job(where);
  outcome = how
}

inline fail_intent(in_this_commit) {
  if
  :: in_this_commit && declared && db.state[current_id] == INIT ->
     move_transaction(current_id, FAILED)
  :: else
  fi
}

/* An attempt ended without success: src/settle.cpp, core/settle.hpp. */
inline settle(sees_entry, how, discard) {
  if
  :: sees_entry && effect && (cancel_sees_entry || !db.cancel_requested) ->
     leave_running(ended_succeeded, succeeded);
     event(succeeded_by_entry)
  :: else ->
     if
     :: db.cancel_requested ->
        leave_running(ended_cancelled, cancelled);
        fail_intent(cancel_fails_intent);
        event(running_job_cancelled)
     :: !db.cancel_requested && how == ended_released ->
        db.counted = (db.counted > 0 -> db.counted - 1 : 0);
        starts = (starts > 0 -> starts - 1 : 0);
        leave_running(ended_released, queued)
     :: !db.cancel_requested && how != ended_released &&
        (discard || db.counted >= attempts_max) ->
        leave_running((how == ended_expired -> ended_expired : ended_failed), failed);
        fail_intent(settle_fails_intent)
     :: else ->
        leave_running(how, queued)
     fi
  fi
}

inline claim() {
  move_job(running); db.lease = true;
  db.counted = (count_at_claim && db.counted <= attempts_max -> db.counted + 1 : db.counted);
  db.attempt = (failover -> db.attempt + 1 : 0);
  starts = (starts <= attempts_max -> starts + 1 : starts)
}

inline forget(w) {
  if
  :: db.holder == w + 1 -> db.holder = 0
  :: else
  fi;
  if
  :: standby.holder == w + 1 -> standby.holder = 0
  :: else
  fi;
  db.ending[w] = not_ended; standby.ending[w] = not_ended;
  remembers[w] = false; known_attempt[w] = 0
}

/* Writes entry and state in one commit; refused when a layer says so.  Callers hold the job. */
inline post(id) {
  if
  :: declared && id != current_id ->
     answer = refused;
     if
     :: db.state[id] == FAILED -> event(failed_id_refused)
     :: else
     fi
  :: else ->
     if
     :: state_check && has_entry(id) -> answer = exists
     :: state_check && db.state[id] == FAILED -> answer = refused
     :: unique_job && effect && !(state_check && has_entry(id)) ->
        answer = refused;
        event(second_id_refused)
     :: !declared && state_check && db.state[id] == none && effect -> answer = refused
     :: !declared && unique_generation && db.state[id] == none && db.state[1 - id] != none ->
        answer = refused
     :: unique_id && db.entries[id] > 0 && !(state_check && has_entry(id)) -> answer = refused
     :: step_guard && db.state[id] == FAILED -> answer = refused
     :: step_guard && db.state[id] == RECONCILED && !state_check -> answer = refused
     :: else ->
        db.entries[id] = (db.entries[id] < 2 -> db.entries[id] + 1 : 2);
        move_transaction(id, APPLIED);
        answer = applied
     fi
  fi
}

/* src/apply.cpp.  The answer "exists" needs no lease. */
inline apply(w, id) {
  if
  :: exists_first && state_check && has_entry(id) ->
     answer = exists;
     if
     :: !in_force(w) -> event(exists_to_a_stranger)
     :: else
     fi
  :: else ->
     if
     :: in_force(w) ->
        post(id);
        if
        :: answer == applied -> accept(w)
        :: else
        fi
     :: else ->
        answer = refused;
        event(stale_call_refused)
     fi
  fi;
  answer_changed = answer_changed || (answer == refused && has_entry(id))
}

/* src/complete.cpp; a job that declared an effect cannot succeed without it. */
inline complete(w) {
  if
  :: in_force(w) ->
     if
     :: complete_needs_entry && declared && !effect -> answer = refused
     :: else ->
        accept(w);
        if
        :: db.cancel_requested -> event(cancel_came_too_late)
        :: else
        fi;
        if
        :: db.generation > 0 && effect -> event(redriven_and_succeeded)
        :: else
        fi;
        leave_running(ended_succeeded, succeeded);
        answer_changed = answer_changed || db.ending[w] != ended_succeeded
     fi
  :: else ->
     if
     :: db.ending[w] == ended_succeeded -> event(asked_again_after_end)
     :: else -> event(stale_call_refused)
     fi
  fi
}

/* What the trace of a token answers to this verb; not_ended: the lease is lost. */
#define traced(w, verb) \
  ((db.ending[w] == ended_succeeded && effect) || db.ending[w] == ended_cancelled || \
   (verb == call_fail && (db.ending[w] == ended_retrying || db.ending[w] == ended_failed)) || \
   (verb == call_release && db.ending[w] == ended_released) -> db.ending[w] : not_ended)

/* src/fail.cpp and src/release.cpp: the answer is how the attempt of this token ended, and it must
   be the same for who asks again. */
inline end_without_success(w, verb, sees_entry, how, discard) {
  if
  :: in_force(w) ->
     accept(w);
     db.counted = (!count_at_claim && verb == call_fail && db.counted < attempts_max ->
                   db.counted + 1 : db.counted);
     settle(sees_entry, how, discard);
     answer_changed = answer_changed || outcome != traced(w, verb)
  :: else ->
     if
     :: traced(w, verb) != not_ended -> event(asked_again_after_end)
     :: else -> event(stale_call_refused)
     fi
  fi;
  outcome = not_ended
}

/* src/extend.cpp.  Of a live lease nothing changes that the model can see. */
inline extend(w) {
  if
  :: (in_force(w) || (!extend_fence && db.job == running)) && !db.cancel_requested ->
     if
     :: !db.lease && (revivals_left > 0 || !budgets || !max_runtime) ->
        revivals_left = (max_runtime && budgets -> revivals_left - 1 : revivals_left);
        accept(w);
        db.lease = true;
        event(lease_revived)
     :: db.lease -> stale_accepted = stale_accepted || db.holder != w + 1
     :: else
     fi
  :: else
  fi
}

/* A worker does anything at any time, as long as it remembers its token: it applies twice, fails
   after it applied, asks again for an answer that was lost, comes back when others have the job. */
proctype Worker(byte w) {
  mtype:answer_given answer; mtype:how_ended outcome; bit id;
end:
  do
  :: atomic { !stopped && !remembers[w] && db.job == queued ->
       claim();
       db.holder = w + 1; remembers[w] = true;
       known_attempt[w] = (random_token -> 0 : db.attempt) }
  :: atomic { !stopped && remembers[w] -> forget(w) } /* a crash */
  :: atomic { !stopped && remembers[w] && one_commit ->
       if /* the declared id, that of another generation, one that he makes up for each call */
       :: id = 0
       :: id = 1
       fi;
       apply(w, id);
       if
       :: true /* apply_ledger() */
       :: answer != refused && in_force(w) -> complete(w) /* apply_and_complete() */
       fi;
       answer = no_reply; outcome = not_ended; id = 0 }
  :: atomic { !stopped && remembers[w] && !one_commit && !agree_guard && in_force(w) &&
              db.state[current_id] == INIT && !effect ->
       accept(w);
       if
       :: entry_first -> db.entries[current_id] = 1
       :: !entry_first -> move_transaction(current_id, APPLIED)
       fi };
     if
     :: atomic { !stopped && remembers[w] -> forget(w) }
     :: atomic { !stopped && remembers[w] && in_force(w) && entry_first &&
                 db.state[current_id] == INIT ->
          accept(w);
          move_transaction(current_id, APPLIED) }
     :: atomic { !stopped && remembers[w] && in_force(w) && !entry_first && !effect &&
                 db.state[current_id] == APPLIED ->
          accept(w);
          db.entries[current_id] = 1 }
     :: atomic { !stopped && remembers[w] && !in_force(w) -> skip }
     fi
  :: atomic { !stopped && remembers[w] -> complete(w); answer = no_reply; outcome = not_ended }
  :: atomic { !stopped && remembers[w] ->
       if
       :: true -> end_without_success(w, call_fail, fail_sees_entry, ended_retrying, false)
       :: true -> end_without_success(w, call_fail, fail_sees_entry, ended_retrying, true)
       fi }
  :: atomic { !stopped && remembers[w] &&
              (releases_left > 0 || !budgets || !releases_end || !in_force(w)) ->
       releases_left = (in_force(w) && budgets && releases_end ->
                        releases_left - 1 : releases_left);
       end_without_success(w, call_release, release_sees_entry, ended_released, false) }
  :: atomic { !stopped && remembers[w] -> extend(w) }
  od
}

/* There is always somebody who claims, even if he dies each time. */
proctype Victim() {
end:
  do
  :: atomic { !stopped && db.job == queued -> claim(); db.holder = 0 }
  od
}

/* Any clock, any pause: a lease may end at any moment. */
proctype Clock() {
end:
  do
  :: atomic { !stopped && db.job == running && db.lease -> db.lease = false }
  od
}

/* Expiry and reconciliation: what is to be done is seen first and judged again under the lock, and
   several do it at once.  src/expire.cpp, sql/faultline/67_reconcile.sql. */
proctype Maintainer() {
  mtype:work seen = nothing; mtype:how_ended outcome; bit at;
end:
  do
  :: atomic { !stopped && seen == nothing && expires && lease_ended -> seen = expiry }
  :: atomic { !stopped && seen == nothing && rule_r0(0) -> seen = r0 }
  :: atomic { !stopped && seen == nothing && rule_r0(1) -> seen = r0; at = 1 }
  :: atomic { !stopped && seen == nothing && r3_runs && rule_r3(0) -> seen = r3 }
  :: atomic { !stopped && seen == nothing && r3_runs && rule_r3(1) -> seen = r3; at = 1 }
  :: atomic { !stopped && seen == nothing && r4_runs && rule_r4(0) -> seen = r4 }
  :: atomic { !stopped && seen == nothing && r4_runs && rule_r4(1) -> seen = r4; at = 1 }
  :: atomic { !stopped && seen == expiry ->
       if
       :: !sweeper_guard || lease_ended ->
          lease_stolen = lease_stolen || !lease_ended;
          settle(expiry_sees_entry, ended_expired, false);
          outcome = not_ended
       :: else -> event(guard_made_a_sweeper_stop)
       fi;
       seen = nothing }
  :: atomic { !stopped && seen != nothing && seen != expiry ->
       if
       :: seen == r0 && (rule_r0(at) || (!reconcile_guard && may_step(at, APPLIED))) ->
          move_transaction(at, APPLIED);
          event(reconciled_by_r0)
       :: seen == r3 && (rule_r3(at) || (!reconcile_guard && may_step(at, FAILED))) ->
          move_transaction(at, FAILED);
          event(reconciled_by_r3)
       :: seen == r4 && (rule_r4(at) || (!reconcile_guard && may_step(at, RECONCILED))) ->
          move_transaction(at, RECONCILED);
          event(reconciled_by_r4)
       :: else -> event(guard_made_a_reconciler_stop)
       fi;
       seen = nothing; at = 0 }
  od
}

/* src/cancel.cpp, src/redrive.cpp, drop_queue(). */
proctype Operator() {
  mtype:how_ended outcome;
end:
  do
  :: atomic { !stopped && db.job == queued && !effect ->
       move_job(cancelled);
       fail_intent(cancel_fails_intent) }
  :: atomic { !stopped && db.job == running && !db.cancel_requested -> db.cancel_requested = true }
  :: atomic { !stopped && db.job == failed && db.generation + 1 < generations &&
              (!redrive_sees_entry || !effect) && (new_id || !step_guard || !declared) ->
       db.generation = 1;
       db.counted = 0; starts = 0;
       move_job(queued);
       if
       :: declared -> move_transaction(current_id, INIT)
       :: else
       fi }
  :: atomic { budgets -> skip } /* nobody can rely on him */
  :: atomic { !stopped && by_hand && (db.job == queued || db.job == running) ->
       leave_running(not_ended, gone);
       outcome = not_ended }
  od
}

/* Somebody writes the entry by hand, with the guards switched off, and leaves INIT as it is. */
proctype Hand() {
end:
  do
  :: atomic { !stopped && by_hand && !effect && db.state[current_id] == INIT ->
       db.entries[current_id] = 1 }
  :: atomic { budgets -> skip }
  od
}

inline copy(to, from) {
  to.job = from.job; to.lease = from.lease; to.cancel_requested = from.cancel_requested;
  to.generation = from.generation; to.counted = from.counted; to.attempt = from.attempt;
  to.holder = from.holder;
  to.state[0] = from.state[0]; to.state[1] = from.state[1];
  to.entries[0] = from.entries[0]; to.entries[1] = from.entries[1];
  to.ending[0] = from.ending[0]; to.ending[1] = from.ending[1]; to.ending[2] = from.ending[2]
}

/* An asynchronous standby is promoted: what was committed since is forgotten, except by those who
   were told. */
proctype Standby() {
end:
  do
  :: atomic { budgets -> skip }
  :: atomic { !stopped && failover && !copied -> copy(standby, db); copied = true }
  :: atomic { !stopped && failover && copied && !promoted ->
       promoted = true;
       if
       :: effect && standby.entries[0] + standby.entries[1] == 0 ->
          event(entry_forgotten_by_failover)
       :: else
       fi;
       if
       :: standby.attempt < db.attempt -> event(claim_forgotten_by_failover)
       :: else
       fi;
       copy(db, standby);
       starts = db.counted;
       standby.job = queued; standby.lease = false; standby.cancel_requested = false;
       standby.generation = 0; standby.counted = 0; standby.attempt = 0; standby.holder = 0;
       standby.state[0] = none; standby.state[1] = none;
       standby.entries[0] = 0; standby.entries[1] = 0;
       standby.ending[0] = not_ended; standby.ending[1] = not_ended; standby.ending[2] = not_ended }
  od
}

/* Everything stops, at any moment; one pass of reconcile() is made,
   before or after the lease ends. */
proctype Stop() {
  mtype:how_ended outcome; byte at;
end:
  do
  :: atomic { stop_allowed && !stopped ->
       stopped = true;
       if
       :: db.lease = false
       :: db.lease -> skip /* the pass comes before the end of the lease */
       fi;
       if
       :: lease_ended -> settle(expiry_sees_entry, ended_expired, false)
       :: else
       fi;
       for (at : 0 .. 1) {
         if
         :: rule_r0(at) -> move_transaction(at, APPLIED)
         :: else
         fi;
         if
         :: r3_runs && rule_r3(at) -> move_transaction(at, FAILED)
         :: else
         fi;
         if
         :: r4_runs && rule_r4(at) -> move_transaction(at, RECONCILED)
         :: else
         fi
       }
       at = 0; outcome = not_ended;
       passed = true }
  od
}

init {
  byte w;
  atomic {
    read_switches();
    db.job = queued; standby.job = queued;
    db.state[0] = (declared -> INIT : none); db.state[1] = none;
    standby.state[0] = none; standby.state[1] = none;
    for (w : 0 .. WORKERS_MAX - 1) {
      db.ending[w] = not_ended; standby.ending[w] = not_ended
    }
    releases_left = 1; revivals_left = 1;
    for (w : 0 .. workers - 1) {
      run Worker(w)
    }
    run Victim(); run Clock(); run Operator();
    for (w : 1 .. maintainers) {
      run Maintainer()
    }
    if
    :: by_hand -> run Hand()
    :: else
    fi;
    if
    :: failover -> run Standby()
    :: else
    fi;
    if
    :: stop_allowed -> run Stop()
    :: else
    fi
  }
}

/* Properties; README.md has a line on each. */
#define one_entry (db.entries[0] + db.entries[1] <= 1)
#define applied_has_entry ((!has_entry(0) || db.entries[0] > 0) && \
                           (!has_entry(1) || db.entries[1] > 0))
#define init_has_no_entry ((db.state[0] != INIT || db.entries[0] == 0) && \
                           (db.state[1] != INIT || db.entries[1] == 0))
#define failed_has_no_entry ((db.state[0] != FAILED || db.entries[0] == 0) && \
                             (db.state[1] != FAILED || db.entries[1] == 0))
#define success_has_entry (db.job != succeeded || !declared || effect)
#define no_success_no_entry ((db.job != failed && db.job != cancelled) || !effect)
#define end_ends_intent ((db.job != failed && db.job != cancelled) || !declared || \
                         db.state[current_id] != INIT)
#define attempts_bounded (db.counted <= attempts_max && starts <= attempts_max)
#define one_rule (rules(0) <= 1 && rules(1) <= 1)
#define one_pass (!passed || rules(0) + rules(1) == 0)
#define final(id) (db.state[id] == none || db.state[id] == RECONCILED || db.state[id] == FAILED)

ltl p_one_entry { [] one_entry }
ltl p_applied_has_entry { [] applied_has_entry }
ltl p_init_has_no_entry { [] init_has_no_entry }
ltl p_failed_has_no_entry { [] failed_has_no_entry }
ltl p_success_has_entry { [] success_has_entry }
ltl p_no_success_no_entry { [] no_success_no_entry }
ltl p_end_ends_intent { [] end_ends_intent }
ltl p_job_is_final { [] !job_reopened }
ltl p_transaction_is_final { [] !transaction_reopened }
ltl p_attempts_bounded { [] attempts_bounded }
ltl p_no_stale_write { [] !stale_accepted }
ltl p_no_lease_stolen { [] !lease_stolen }
ltl p_same_answer { [] !answer_changed }
ltl p_one_rule { [] one_rule }
ltl p_one_pass { [] one_pass }
ltl p_everything_ends { <> [] (ended(db.job) && final(0) && final(1)) }
ltl p_never_happens { [] !happened }

/* All safety properties in one search, which notes those that are broken and goes on. */
#define holds(property, name) (property || c_expr { BROKEN_##name })
never observer {
  do
  :: holds(one_entry, one_entry) && holds(applied_has_entry, applied_has_entry) &&
     holds(init_has_no_entry, init_has_no_entry) &&
     holds(failed_has_no_entry, failed_has_no_entry) &&
     holds(success_has_entry, success_has_entry) &&
     holds(no_success_no_entry, no_success_no_entry) &&
     holds(end_ends_intent, end_ends_intent) &&
     holds(!job_reopened, job_is_final) &&
     holds(!transaction_reopened, transaction_is_final) &&
     holds(attempts_bounded, attempts_bounded) &&
     holds(!stale_accepted, no_stale_write) && holds(!lease_stolen, no_lease_stolen) &&
     holds(!answer_changed, same_answer) && holds(one_rule, one_rule) &&
     holds(one_pass, one_pass) -> skip
  od
}
