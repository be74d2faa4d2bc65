-- Whose policies in Storage are ours.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Any bucket of the project is entered here once an event names it, one with pages of the operator's own too: to be
-- known must open nothing. `make deploy-supabase` alone sets this, over its own connection, for the buckets that it was
-- told of; the policies in supabase/hosted/policies.sql cover those.
alter table pixseek.buckets add column has_policies boolean not null default false;
