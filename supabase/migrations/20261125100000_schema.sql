-- The tables. They live outside the exposed schema: clients reach them through functions only.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create schema if not exists extensions;
create extension if not exists vector with schema extensions;
grant usage on schema extensions to anon, authenticated, service_role;

do $$
declare
  found text := (select extversion from pg_catalog.pg_extension where extname = 'vector');
begin
  if string_to_array(found, '.')::integer[] < array[0, 8, 0] then
    raise exception 'pgvector % is too old: pixseek needs 0.8.0, for iterative index scans', found
      using errcode = '0A000', hint = 'Upgrade the project''s Postgres, then: alter extension vector update.';
  end if;
end
$$;

create schema pixseek;
revoke all on schema pixseek from public;
grant usage on schema pixseek to anon, authenticated, service_role;

-- pgvector's types and operators are found wherever the extension was installed, and nowhere else.
select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

create table pixseek.models (
  id integer generated always as identity primary key,
  name text not null unique check (name <> ''),
  dimensions integer not null check (dimensions in (384, 512, 640, 768, 1024)),
  similarity_floor double precision not null check (similarity_floor between -1 and 1),
  languages text[] not null,
  -- A retired model is kept for rollback; of a dropped one only the name and an empty partition are left.
  state text not null default 'building' check (state in ('building', 'active', 'retired', 'dropped')),
  created_at timestamptz not null default now(),
  retired_at timestamptz
);
create unique index models_one_active on pixseek.models (state) where state = 'active';

create table pixseek.buckets (
  name text collate "C" primary key check (name <> ''),
  provider text not null default 'supabase' check (provider in ('supabase', 's3', 'gcs', 'local')),
  is_public boolean not null default false,
  -- Who owns a picture: nobody, Storage's owner, the first segment of its name, or a key of its metadata.
  owner_rule text not null default 'storage_owner'
    check (owner_rule in ('none', 'storage_owner', 'first_segment', 'metadata')),
  owner_metadata_key text,
  created_at timestamptz not null default now(),
  check ((owner_rule = 'metadata') = (owner_metadata_key is not null))
);

create table pixseek.images (
  id bigint generated always as identity primary key,
  bucket text collate "C" not null references pixseek.buckets,
  name text collate "C" not null check (octet_length(name) between 1 and 1024),
  owner text,
  version text,
  -- Ranks the events of one object as text: byte order, not a language's. Empty: older than any event.
  ordering_key text collate "C" not null,
  content_hash text check (content_hash ~ '^[0-9a-f]{64}$'),
  content_type text,
  size_bytes bigint check (size_bytes >= 0),
  width integer check (width > 0),
  height integer check (height > 0),
  taken_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- As the active model has it. Blocked pictures keep their vectors, and nobody finds them.
  state text not null check (state in ('pending', 'indexed', 'failed', 'blocked', 'deleted')),
  reason text,
  unique (bucket, name),
  check ((state in ('failed', 'blocked')) = (reason is not null))
);
-- Finds the twins whose vector can be reused.
create index images_content_hash on pixseek.images (content_hash) where content_hash is not null;
-- One for each filter, so that a filter that keeps few rows finds them, or finds nothing, at once.
create index images_owner on pixseek.images (owner);
create index images_name on pixseek.images (name);
create index images_content_type on pixseek.images (content_type);
create index images_created_at on pixseek.images (created_at);
create index images_taken_at on pixseek.images (taken_at);
create index images_failed on pixseek.images (updated_at) where state = 'failed';

-- One partition a model, so that a query can only ever meet vectors of its own model. The column is
-- untyped here because models differ in length; each partition checks its own. Vectors are stored with
-- length 1: their inner product is their cosine, and the index ranks exactly as the stored values do.
-- No foreign keys: with them a partition could not come or go without locking out uploads. Rows of images and
-- models are never deleted.
create table pixseek.vectors (
  image_id bigint not null,
  model_id integer not null,
  embedding halfvec not null,
  -- Given by a client through the guide's interface: never reused, and replaced by our own.
  from_client boolean not null default false,
  primary key (image_id, model_id)
) partition by list (model_id);

-- What was tried to embed an image under a model: a failure there leaves the image itself alone.
create table pixseek.work (
  image_id bigint not null references pixseek.images on delete cascade,
  model_id integer not null references pixseek.models,
  attempts integer not null default 0,
  leased_until timestamptz not null default '-infinity',
  is_failed boolean not null default false,
  reason text,
  primary key (image_id, model_id),
  check (reason is not null or not is_failed)
);
create index work_open on pixseek.work (model_id, image_id) where not is_failed;
create index work_failed on pixseek.work (model_id, image_id) where is_failed;

-- Who embeds new bytes: one worker a hash and model.
create table pixseek.leases (
  model_id integer not null references pixseek.models,
  content_hash text not null,
  leased_until timestamptz not null,
  primary key (model_id, content_hash)
);

-- Remembered queries. A digest of the text, not the text: what people look for is theirs.
create table pixseek.queries (
  id bigint generated always as identity unique,
  model_id integer not null references pixseek.models,
  digest bytea not null,
  embedding halfvec not null,
  created_at timestamptz not null default now(),
  primary key (model_id, digest)
);
create index queries_created_at on pixseek.queries (created_at);

-- The guide's interface: the bucket of its rows, and the model that its clients embed with.
create table pixseek.guide (
  is_only_row boolean primary key default true check (is_only_row),
  bucket text not null default 'images',
  model_id integer references pixseek.models
);
insert into pixseek.guide default values;

alter table pixseek.models enable row level security;
alter table pixseek.buckets enable row level security;
alter table pixseek.images enable row level security;
alter table pixseek.vectors enable row level security;
alter table pixseek.work enable row level security;
alter table pixseek.leases enable row level security;
alter table pixseek.queries enable row level security;
alter table pixseek.guide enable row level security;

create policy models_read on pixseek.models for select to anon, authenticated using (true);
create policy guide_read on pixseek.guide for select to anon, authenticated using (true);
create policy queries_read on pixseek.queries for select to anon, authenticated using (true);
create policy buckets_read_public on pixseek.buckets for select to anon, authenticated using (is_public);
-- Each subquery runs once a statement, and both sides can use an index.
create policy images_read_own_and_public on pixseek.images for select to authenticated using (
  owner = (select auth.uid())::text
  or bucket = any ((select array_agg(b.name) from pixseek.buckets b where b.is_public)::text[])
);
create policy images_read_public on pixseek.images for select to anon using (
  bucket = any ((select array_agg(b.name) from pixseek.buckets b where b.is_public)::text[])
);
-- A vector is only ever read joined to its image, whose policy decides.
create policy vectors_read on pixseek.vectors for select to anon, authenticated using (true);

grant select on pixseek.models, pixseek.buckets, pixseek.images, pixseek.vectors, pixseek.queries, pixseek.guide
to anon, authenticated;
grant select, insert, update, delete
on pixseek.models, pixseek.buckets, pixseek.images, pixseek.vectors, pixseek.work, pixseek.leases,
  pixseek.queries, pixseek.guide
to service_role;

reset search_path;
