-- Left out: a clock that goes on. The time is that of the transaction's begin, as now() and
-- CURRENT_TIMESTAMP give it.
CREATE OR REPLACE FUNCTION q.now() RETURNS timestamptz LANGUAGE sql AS
  'SELECT CURRENT_TIMESTAMP';
