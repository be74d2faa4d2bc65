-- What a hosted Supabase project has before its first migration, as far as pixseek meets it: roles, schemas and
-- storage. Run by supabase_admin at every start, in one transaction; a second run changes nothing.

set local client_min_messages = warning;

create function pg_temp.ensure_role(name text, attributes text) returns void
language plpgsql
as $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = name) then
    execute format('create role %I', name);
  end if;
  execute format('alter role %I %s', name, attributes);
end
$$;

select pg_temp.ensure_role('postgres', 'login nosuperuser createdb createrole bypassrls');
select pg_temp.ensure_role('anon', 'nologin noinherit');
select pg_temp.ensure_role('authenticated', 'nologin noinherit');
select pg_temp.ensure_role('service_role', 'nologin noinherit bypassrls');
select pg_temp.ensure_role('authenticator', 'login noinherit');
select pg_temp.ensure_role('supabase_storage_admin', 'login noinherit createrole');
select pg_temp.ensure_role('supabase_auth_admin', 'login noinherit');

grant anon, authenticated, service_role to authenticator, supabase_storage_admin;
grant anon, authenticated, service_role to postgres with admin option;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_storage_admin set search_path = storage;
alter role supabase_auth_admin set search_path = auth;

grant all on database postgres to postgres;
grant all on schema public to postgres;
grant usage on schema public to anon, authenticated, service_role;

-- The hazard is hosted Supabase's own: whatever postgres makes in public is open to everyone at once, so a
-- migration has to revoke explicitly.
alter default privileges for role postgres in schema public
  grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on sequences to anon, authenticated, service_role;

create schema if not exists extensions;
grant usage on schema extensions to anon, authenticated, service_role;
grant all on schema extensions to postgres;
create extension if not exists vector with schema extensions;

-- Who is asking, for policies.
create schema if not exists auth;
grant usage on schema auth to postgres, anon, authenticated, service_role, supabase_auth_admin;

create or replace function auth.jwt() returns jsonb
language sql stable
set search_path = ''
return coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb;

create or replace function auth.uid() returns uuid
language sql stable
set search_path = ''
return (auth.jwt() ->> 'sub')::uuid;

create or replace function auth.role() returns text
language sql stable
set search_path = ''
return auth.jwt() ->> 'role';

-- Users and their sessions are Auth's alone: no role that clients or migrations have reads them.
create table if not exists auth.users (
  id uuid primary key default gen_random_uuid(),
  aud text not null default 'authenticated',
  role text not null default 'authenticated',
  email text not null,
  -- Null for a user without a password.
  encrypted_password text,
  email_confirmed_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb not null default '{}',
  raw_user_meta_data jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index if not exists users_email_key on auth.users (email);

create table if not exists auth.sessions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users on delete cascade,
  aal text not null default 'aal1',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists sessions_user_id_idx on auth.sessions (user_id);

create table if not exists auth.refresh_tokens (
  -- The token's digest.
  token text primary key,
  session_id uuid not null references auth.sessions on delete cascade,
  -- Spent: it was exchanged for a new one.
  revoked boolean not null default false,
  created_at timestamptz not null default now()
);
create index if not exists refresh_tokens_session_id_idx on auth.refresh_tokens (session_id);

alter table auth.users owner to supabase_auth_admin;
alter table auth.sessions owner to supabase_auth_admin;
alter table auth.refresh_tokens owner to supabase_auth_admin;
alter table auth.users enable row level security;
alter table auth.sessions enable row level security;
alter table auth.refresh_tokens enable row level security;

create schema if not exists storage authorization supabase_storage_admin;
grant usage on schema storage to postgres, anon, authenticated, service_role;

create table if not exists storage.buckets (
  id text primary key,
  name text not null,
  owner uuid,
  owner_id text,
  public boolean default false,
  avif_autodetection boolean default false,
  file_size_limit bigint,
  allowed_mime_types text[],
  type text not null default 'STANDARD',
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
create unique index if not exists bname on storage.buckets (name);

create table if not exists storage.objects (
  id uuid primary key default gen_random_uuid(),
  bucket_id text references storage.buckets,
  name text,
  owner uuid,
  owner_id text,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  last_accessed_at timestamptz default now(),
  metadata jsonb,
  user_metadata jsonb,
  version text,
  path_tokens text[] generated always as (string_to_array(name, '/')) stored
);
create unique index if not exists bucketid_objname on storage.objects (bucket_id, name);
create index if not exists idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");

alter table storage.buckets owner to supabase_storage_admin;
alter table storage.objects owner to supabase_storage_admin;
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
grant all on storage.buckets, storage.objects to anon, authenticated, service_role;
grant all on storage.buckets, storage.objects to postgres with grant option;

create or replace function storage.foldername(name text) returns text[]
language sql immutable
set search_path = ''
return (string_to_array(name, '/'))[:cardinality(string_to_array(name, '/')) - 1];

create or replace function storage.filename(name text) returns text
language sql immutable
set search_path = ''
return split_part(name, '/', -1);

create or replace function storage.extension(name text) returns text
language sql immutable
set search_path = ''
return split_part(split_part(name, '/', -1), '.', -1);

create or replace function storage.touch() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end
$$;

create or replace trigger update_objects_updated_at
  before update on storage.objects
  for each row execute function storage.touch();

create or replace function storage.protect_delete() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if current_setting('storage.allow_delete_query', true) is distinct from 'true' then
    raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
      using errcode = '42501', hint = 'The row would go and its bytes would stay.';
  end if;
  return null;
end
$$;

create or replace trigger protect_buckets_delete
  before delete on storage.buckets
  for each statement execute function storage.protect_delete();
create or replace trigger protect_objects_delete
  before delete on storage.objects
  for each statement execute function storage.protect_delete();

-- Hosted Supabase lets postgres, who owns nothing in storage, make policies and triggers on its tables and nothing
-- else there; an extension of the server does that. Here postgres inherits the owner's rights, and an event trigger
-- takes back all but those two.
grant supabase_storage_admin to postgres with inherit true, set false;

-- The stand-in's own: out of reach for all API roles.
create schema if not exists gateway;
grant usage on schema gateway to supabase_storage_admin;

create or replace function gateway.protect_storage() returns event_trigger
language plpgsql
set search_path = ''
as $$
declare
  command record;
begin
  if current_user <> 'postgres' then
    return;
  end if;
  if tg_event = 'sql_drop' then
    select d.object_identity as identity into command
    from pg_event_trigger_dropped_objects() d
    where d.schema_name = 'storage' and d.object_type not in ('policy', 'trigger');
  else
    select d.object_identity as identity into command
    from pg_event_trigger_ddl_commands() d
    where d.schema_name = 'storage' and d.object_type not in ('policy', 'trigger');
  end if;
  if found then
    raise exception 'must be owner of %', command.identity
      using errcode = '42501', hint = 'Only policies and triggers may be made on the tables of schema storage.';
  end if;
end
$$;

drop event trigger if exists protect_storage;
create event trigger protect_storage on ddl_command_end execute function gateway.protect_storage();
drop event trigger if exists protect_storage_drop;
create event trigger protect_storage_drop on sql_drop execute function gateway.protect_storage();

-- Database webhooks. Hosted, pg_net takes a request off its queue before it is sent: each is delivered at most
-- once. Here a row stays until the receiver has answered, so that a kill -9 loses nothing: at least once.
create table if not exists gateway.webhook_outbox (
  id bigint generated always as identity primary key,
  object_id uuid not null,
  payload jsonb not null,
  created_at timestamptz not null default now(),
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  -- The last answer; null when there was none.
  status integer,
  -- The receiver refused it for good: kept on record, not sent again.
  given_up boolean not null default false
);
create index if not exists webhook_outbox_waiting on gateway.webhook_outbox (object_id, id) where not given_up;
grant select, update, delete on gateway.webhook_outbox to supabase_storage_admin;

-- Security definer: the uploader, whoever that is, has no right to the outbox.
create or replace function gateway.post_webhook() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into gateway.webhook_outbox (object_id, payload)
  values (
    coalesce(new.id, old.id),
    jsonb_build_object(
      'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
      'record', to_jsonb(new), 'old_record', to_jsonb(old)
    )
  );
  perform pg_notify('webhook_outbox', '');
  return null;
end
$$;

-- Previews are pixseek's own.
drop trigger if exists post_webhook on storage.objects;
create or replace trigger post_webhook_of_write
  after insert or update on storage.objects
  for each row when (new.bucket_id not like '%-previews') execute function gateway.post_webhook();
create or replace trigger post_webhook_of_delete
  after delete on storage.objects
  for each row when (old.bucket_id not like '%-previews') execute function gateway.post_webhook();
