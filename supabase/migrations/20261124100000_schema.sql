-- The tables. They live outside the exposed schema: clients reach them through functions only.

create schema if not exists extensions;
create extension if not exists vector with schema extensions;

create schema pixseek;
revoke all on schema pixseek from public;
grant usage on schema pixseek to authenticated, service_role;

-- pgvector's types and operators are found wherever the extension was installed, and nowhere else.
select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

create table pixseek.models (
  id smallint generated always as identity primary key,
  name text not null unique check (name <> ''),
  dimensions integer not null check (dimensions in (384, 512, 640, 768, 1024)),
  similarity_floor double precision not null check (similarity_floor between -1 and 1),
  languages text[] not null,
  state text not null default 'building' check (state in ('building', 'active', 'retired')),
  created_at timestamptz not null default now()
);
create unique index models_one_active on pixseek.models (state) where state = 'active';

create table pixseek.images (
  id bigint generated always as identity primary key,
  bucket text not null,
  name text not null,
  owner text,
  version text,
  -- Ranks the events of one object as text: byte order, not a language's.
  ordering_key text collate "C" not null,
  content_hash text check (content_hash ~ '^[0-9a-f]{64}$'),
  content_type text,
  size_bytes bigint,
  width integer,
  height integer,
  state text not null check (state in ('pending', 'indexed', 'failed', 'deleted')),
  reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (bucket, name),
  check ((state = 'failed') = (reason is not null))
);
-- Finds the twin whose vector can be reused.
create index images_content_hash on pixseek.images (content_hash) where content_hash is not null;

-- One partition a model, so that a query can only ever meet vectors of its own model. The column is
-- untyped here because models differ in length; each partition checks its own.
create table pixseek.vectors (
  model_id smallint not null references pixseek.models,
  image_id bigint not null references pixseek.images on delete cascade,
  embedding halfvec not null,
  primary key (model_id, image_id)
) partition by list (model_id);
create index vectors_image on pixseek.vectors (image_id);

alter table pixseek.models enable row level security;
alter table pixseek.images enable row level security;
alter table pixseek.vectors enable row level security;

create policy models_read on pixseek.models for select to authenticated using (true);
create policy images_read_own on pixseek.images for select to authenticated
  using (owner = (select auth.uid())::text);
-- A vector is only ever read joined to its image, whose policy decides.
create policy vectors_read on pixseek.vectors for select to authenticated using (true);

grant select on pixseek.models, pixseek.images, pixseek.vectors to authenticated;
grant select, insert, update, delete on pixseek.models, pixseek.images, pixseek.vectors to service_role;

reset search_path;
