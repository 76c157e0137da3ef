-- Publication: a database that publishes all its tables can still use every function.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET client_min_messages = error;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT faultline.set_clock('2100-07-01 00:00Z') \gset
SELECT faultline.advance_clock('1 s') \gset
SELECT faultline.create_queue('published', keep_finished => '1 day') \gset
SELECT faultline.create_queue('published_long', keep_finished => '30 days') \gset
SELECT faultline.pause_queue('published'), faultline.resume_queue('published');
SELECT faultline.adopt();
ALTER SEQUENCE faultline.job_id_seq RESTART 18001;
SELECT faultline.enqueue('published', idempotency_key => 'k');
SELECT job_id, lease_token FROM faultline.claim('published', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT faultline.advance_clock('10 days') \gset
SELECT duty, error FROM faultline.maintain();
SELECT count(*) FROM faultline.jobs WHERE queue = 'published';
CREATE ROLE publication_role;
SELECT faultline.grant_access('publication_role', 'worker');
SELECT faultline.revoke_access('publication_role', 'worker');
DROP ROLE publication_role;
SELECT faultline.drop_queue('published'), faultline.drop_queue('published_long');
SELECT faultline.set_clock(NULL) \gset
DROP PUBLICATION everything;
SELECT * FROM faultline.check_invariants();
