-- The interface of the guide lives on: match_images with its three arguments, and images (id, image, embedding)
-- that takes its insert. A project that followed the guide has both as its own; its table is adopted here, with
-- ids and vectors kept. Running this file again changes nothing.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- Takes over the guide's table. Its rows were embedded by Roboflow's ViT-B-16. The table itself is moved out of
-- the way, to a schema pixseek_guide that only its owner reaches, and not dropped.
create or replace function pixseek.adopt_guide() returns void
language plpgsql
set search_path from current
as $$
declare
  guides constant text := 'openai/clip-vit-base-patch16';
  model pixseek.models;
  bucket_name text := (select g.bucket from pixseek.guide g);
begin
  if exists (
    select from pg_proc p
    where p.oid = to_regprocedure('public.match_images(vector, double precision, integer)')
      and p.prosrc not like '%pixseek.%'
  ) then
    drop function public.match_images(vector, double precision, integer);
  end if;
  if not exists (
    select from pg_class c where c.oid = to_regclass('public.images') and c.relkind in ('r', 'p')
  ) then
    return;
  end if;
  -- Whoever inserts meanwhile waits, and is then told that the table has moved.
  lock table public.images in share row exclusive mode;
  if (
    select count(*) from pg_attribute a
    where a.attrelid = to_regclass('public.images') and not a.attisdropped
      and (a.attname, format_type(a.atttypid, a.atttypmod)) in
          (('id', 'bigint'), ('image', 'text'), ('embedding', 'vector(512)'))
  ) <> 3 then
    raise exception 'there is a table public.images, and it is not the guide''s (id, image, embedding)'
      using errcode = '42P07', hint = 'Rename it or move it to another schema; then apply this migration again.';
  end if;

  if exists (select from pixseek.images) then
    raise exception 'there are pictures in the index already; the table of the guide comes into an empty one'
      using errcode = '55000', hint = 'Move public.images to another schema to go on without it.';
  end if;

  insert into pixseek.models as m (name, dimensions, similarity_floor, languages)
  values (guides, 512, 0.2, '{en}')
  on conflict do nothing
  returning * into model;
  if not found then
    select * into model from pixseek.models where name = guides;
  else
    perform pixseek.create_partition(model);
    perform pixseek.create_scan(model);
  end if;
  update pixseek.guide set model_id = model.id where is_only_row;
  -- Without row-level security anybody can read the guide's table.
  insert into pixseek.buckets (name, is_public)
  select bucket_name, not c.relrowsecurity from pg_class c where c.oid = to_regclass('public.images')
  on conflict do nothing;

  -- Of rows of one name the latest; what has no name or vector of its own is left behind in the old table.
  execute
    'insert into pixseek.images (id, bucket, name, ordering_key, state)
     overriding system value
     select distinct on (o.image) o.id, $1, o.image, '''', ''pending''
     from public.images o
     where octet_length(o.image) between 1 and 1024
     order by o.image, o.id desc'
  using bucket_name;
  execute
    'insert into pixseek.vectors (image_id, model_id, embedding, from_client)
     select o.id, $1, l2_normalize(o.embedding)::halfvec, true
     from public.images o
     join pixseek.images i on i.id = o.id and i.bucket = $2 and i.name = o.image
     where l2_norm(l2_normalize(o.embedding)::halfvec) between 0.9 and 1.1'
  using model.id, bucket_name;
  perform setval(
    pg_get_serial_sequence('pixseek.images', 'id'), (select greatest(max(id), 1) from pixseek.images)
  );
  if not exists (
    select from pg_index x join pg_class c on c.oid = x.indexrelid join pg_am a on a.oid = c.relam
    where x.indrelid = to_regclass(format('pixseek.vectors_%s', model.id)) and a.amname = 'hnsw'
  ) then
    perform pixseek.create_vector_index(model);
  end if;
  if not exists (select from pixseek.models where state = 'active') then
    perform pixseek.make_active(model);
  end if;
  perform pixseek.settle(array(select i.id from pixseek.images i where i.bucket = bucket_name));

  revoke all on public.images from anon, authenticated;
  create schema pixseek_guide;
  alter table public.images set schema pixseek_guide;
  alter table pixseek_guide.images enable row level security;
end
$$;
revoke execute on function pixseek.adopt_guide from public;

-- A long load and a long index build, on a large table.
set local statement_timeout = 0;
select pixseek.adopt_guide();

-- The model that the guide's clients embed with, refused when it was given up: never another model's pictures.
create or replace function pixseek.guide_model() returns pixseek.models
language plpgsql stable
set search_path = ''
as $$
declare
  model pixseek.models;
begin
  select m.* into model
  from pixseek.guide g
  join pixseek.models m on m.id = g.model_id and m.state in ('active', 'retired');
  if not found then
    raise exception 'the model of match_images and images is gone, or none of 512 dimensions was ever active'
      using errcode = '55000',
        hint = 'Name the model that your client embeds with: configure_guide_v1(model_name => …).';
  end if;
  return model;
end
$$;

-- The guide's function, with its very shape: an existing client goes on working.
create or replace function public.match_images(
  query_embedding vector(512), match_threshold double precision, match_count integer
) returns table (id bigint, image text, similarity double precision)
language plpgsql stable
set search_path from current
as $$
#variable_conflict use_column
declare
  model pixseek.models := pixseek.guide_model();
  question pixseek.question;
  ranking pixseek.ranking;
begin
  if match_threshold is null then
    raise exception 'match_threshold is null' using errcode = '22023', hint = 'Pass -1 for all.';
  end if;
  question := row(
    model.id, model.dimensions, pixseek.unit_vector(query_embedding, model), '', '{}', null, false
  );
  ranking := pixseek.nearest(question, null, pixseek.checked_count(match_count));
  return query
  select i.id, i.name, least(1, -r.distance)
  from unnest(ranking.ids, ranking.distances) with ordinality r (id, distance, place)
  join pixseek.images i on i.id = r.id
  where -r.distance > match_threshold
  order by r.place;
end
$$;

create or replace view public.images with (security_invoker = true) as
select i.id, i.name as image, v.embedding::vector as embedding
from pixseek.guide g
join pixseek.images i on i.bucket = g.bucket and i.state not in ('blocked', 'deleted')
left join pixseek.vectors v on v.image_id = i.id and v.model_id = g.model_id;

-- The guide's insert. The row belongs to the caller; one that an event has put on record already is found, and
-- keeps the vector that was embedded from its bytes.
-- Security definer, because callers may not write the tables; it writes rows of the caller only.
create or replace function pixseek.insert_guide_image() returns trigger
language plpgsql security definer
set search_path from current
as $$
declare
  model pixseek.models := pixseek.model_for_writing((pixseek.guide_model()).name);
  bucket_name text := (select g.bucket from pixseek.guide g);
  caller text := auth.uid()::text;
  -- As the session has it: in here the user is the owner of this function.
  is_service boolean := current_setting('role') not in ('anon', 'authenticated');
  found_image pixseek.images;
begin
  if new.image is null or octet_length(new.image) not between 1 and 1024 then
    raise exception 'image must be the name of an object, of 1 to 1024 bytes'
      using errcode = '22023', hint = 'Insert the name that the upload got.';
  elsif caller is null and not is_service then
    raise exception 'sign in to insert images' using errcode = '42501', hint = 'The row belongs to its user.';
  end if;
  insert into pixseek.buckets (name) values (bucket_name) on conflict do nothing;
  insert into pixseek.images (bucket, name, owner, ordering_key, state)
  values (bucket_name, new.image, caller, '', 'pending')
  on conflict (bucket, name) do nothing;
  select * into found_image from pixseek.images i
  where i.bucket = bucket_name and i.name = new.image
  for no key update;
  if found_image.state = 'deleted' then
    raise exception 'image % is deleted', new.image
      using errcode = '55000', hint = 'A new upload brings it back.';
  elsif not is_service and found_image.owner is distinct from caller then
    raise exception 'image % belongs to somebody else', new.image
      using errcode = '42501', hint = 'Upload under a name of your own.';
  elsif found_image.state = 'blocked' then
    raise exception 'image % is blocked', new.image
      using errcode = '55000', hint = 'Its operator may show it again (block_images_v1).';
  elsif found_image.state = 'failed' and not exists (
    select from pixseek.work w where w.image_id = found_image.id and w.is_failed
  ) then
    raise exception 'image % cannot be searched: %', new.image, found_image.reason
      using errcode = '55000', hint = 'Upload another picture under this name.';
  end if;
  insert into pixseek.vectors as own (image_id, model_id, embedding, from_client)
  values (found_image.id, model.id, pixseek.unit_vector(new.embedding, model), true)
  on conflict (image_id, model_id) do update set embedding = excluded.embedding where own.from_client;
  perform pixseek.settle(array[found_image.id]);
  new.id := found_image.id;
  return new;
end
$$;

create or replace trigger insert_guide_image instead of insert on public.images
for each row execute function pixseek.insert_guide_image();

-- Where the guide's rows are kept, and the model that its clients embed with; null leaves it as it is.
create or replace function public.configure_guide_v1(model_name text default null, bucket_name text default null)
returns void
language plpgsql
set search_path = ''
as $$
declare
  model pixseek.models;
begin
  if bucket_name = '' then
    raise exception 'a bucket needs a name' using errcode = '22023', hint = 'Leave it out to keep the bucket.';
  end if;
  if model_name is not null then
    model := pixseek.model_named(model_name);
    if model.state = 'building' then
      raise exception 'model % was never active', model_name
        using errcode = '55000', hint = 'activate_model_v1 first.';
    elsif model.dimensions <> 512 then
      raise exception 'model % has % dimensions; match_images takes 512', model_name, model.dimensions
        using errcode = '22023', hint = 'Pin a model of 512, or move the client to search_images_v1.';
    end if;
  end if;
  update pixseek.guide g set model_id = coalesce(model.id, g.model_id), bucket = coalesce(bucket_name, g.bucket)
  where g.is_only_row;
end
$$;

revoke all on public.images from anon, authenticated, public;
grant select on public.images to anon, authenticated, service_role;
grant insert on public.images to authenticated, service_role;
revoke execute on function
  public.match_images, public.configure_guide_v1, pixseek.guide_model, pixseek.insert_guide_image
from public, anon, authenticated;
grant execute on function public.match_images, pixseek.guide_model to anon, authenticated, service_role;
grant execute on function public.configure_guide_v1 to service_role;

reset search_path;
