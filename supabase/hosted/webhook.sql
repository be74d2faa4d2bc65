-- Tells pixseek's function of every change in Storage, on a hosted project. Not a migration: it needs pg_net and
-- Vault, which the embedded Postgres lacks. `make deploy-supabase` does all of this, and applies the file where it differs
-- from what is there. By hand: apply it as postgres, after the migrations, in the SQL editor, or by
-- psql -v ON_ERROR_STOP=1 -f. Again is fine. Instead of a webhook from the dashboard, which keeps its headers, and so the
-- secret, where everybody can read them who can read the catalogue.
--
-- By hand, before, once (database > extensions: pg_net, Vault):
--   select vault.create_secret('https://<the function>', 'pixseek_index_url', 'where changes in Storage are posted');
--   select vault.create_secret('<32 random characters>', 'pixseek_webhook_secret', 'sent as x-webhook-secret');
--
-- A new secret, in this order, loses nothing:
--   1. the function accepts both: the new one as WEBHOOK_SECRET, the old one as WEBHOOK_SECRET_BEFORE;
--   2. select vault.update_secret(
--        (select id from vault.secrets where name = 'pixseek_webhook_secret'), '<the new one>');
--   3. a minute later, when the posts with the old one have arrived: the function accepts the new one alone.
--
-- Away with it:
--   drop trigger pixseek_post_webhook on storage.objects;
--   drop function pixseek.post_webhook();
--   delete from vault.secrets where name in ('pixseek_index_url', 'pixseek_webhook_secret');
--
-- pg_net posts after the commit, at most once: what it loses, the audit finds.

begin;

-- Rather fail and be run again than make uploads wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Security definer: an uploader has no right to Vault. Storage tests an upload's permission in a transaction that it
-- rolls back: that fires the trigger too, and pg_net's queued request goes with it.
create or replace function pixseek.post_webhook() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  url text;
  secret text;
begin
  if (new.bucket_id like '%-previews') is not false and (old.bucket_id like '%-previews') is not false then
    return null;
  end if;
  -- Storage also notes when an object was last read.
  if tg_op = 'UPDATE'
    and (new.bucket_id, new.name, new.version) is not distinct from (old.bucket_id, old.name, old.version) then
    return null;
  end if;

  select s.decrypted_secret into url from vault.decrypted_secrets s where s.name = 'pixseek_index_url';
  select s.decrypted_secret into secret from vault.decrypted_secrets s where s.name = 'pixseek_webhook_secret';
  if coalesce(url, '') = '' or coalesce(secret, '') = '' then
    raise warning 'pixseek is not told of a change in Storage: Vault lacks pixseek_index_url or pixseek_webhook_secret'
      using hint = 'See supabase/hosted/webhook.sql; a later audit finds the change.';
    return null;
  end if;
  perform net.http_post(
    url := url,
    body := jsonb_build_object(
      'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
      'record', to_jsonb(new), 'old_record', to_jsonb(old)
    ),
    params := '{}'::jsonb,
    headers := jsonb_build_object('Content-Type', 'application/json', 'x-webhook-secret', secret),
    -- Without one, pg_net has none to put into its queue, and the upload fails.
    timeout_milliseconds := 30000
  );
  return null;
exception
  -- An upload never fails for this. The message stays out of the log: it may quote the secret.
  when others then
    raise warning 'pixseek is not told of a change in Storage: pg_net or Vault failed (%)', sqlstate
      using hint = 'See supabase/hosted/webhook.sql; a later audit finds the change.';
    return null;
end
$$;

alter function pixseek.post_webhook() owner to postgres;
revoke execute on function pixseek.post_webhook() from public, anon, authenticated, service_role;

create or replace trigger pixseek_post_webhook
  after insert or update or delete on storage.objects
  for each row execute function pixseek.post_webhook();

commit;
