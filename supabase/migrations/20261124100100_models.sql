-- The registry of models: each has a partition of its own with an index of its own.

select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- Registers a model; asking again for the same one changes nothing. The first model becomes active at once.
-- Security definer, because it makes tables; only service_role may call it.
create function public.create_model_v1(
  model_name text,
  model_dimensions integer,
  model_similarity_floor double precision,
  model_languages text[] default '{}'
) returns void
language plpgsql security definer
set search_path from current
as $$
declare
  known pixseek.models;
  part text;
begin
  -- One at a time: two workers may start with the same new model.
  perform pg_advisory_xact_lock(hashtextextended('pixseek.create_model', 0));
  select * into known from pixseek.models where name = model_name;
  if found then
    if known.dimensions <> model_dimensions then
      raise exception 'model % has % dimensions, not %', model_name, known.dimensions, model_dimensions
        using errcode = '22023', hint = 'Other weights need another model name.';
    end if;
    return;
  end if;

  insert into pixseek.models (name, dimensions, similarity_floor, languages, state)
  values (
    model_name, model_dimensions, model_similarity_floor, model_languages,
    case when exists (select from pixseek.models where state = 'active') then 'building' else 'active' end
  )
  returning * into known;

  -- Filled in aside and attached last: `create table … partition of` would lock out every search.
  part := format('vectors_%s', known.id);
  execute format(
    'create table pixseek.%I (like pixseek.vectors including all,
       check (model_id = %s), check (vector_dims(embedding) = %s))',
    part, known.id, known.dimensions
  );
  execute format('alter table pixseek.%I alter column embedding set storage main', part);
  execute format('alter table pixseek.%I enable row level security', part);
  execute format(
    'create index on pixseek.%I using hnsw ((embedding::halfvec(%s)) halfvec_cosine_ops)',
    part, known.dimensions
  );
  execute format('alter table pixseek.vectors attach partition pixseek.%I for values in (%s)', part, known.id);
end
$$;

-- The model of this name, or the active one for null.
create function pixseek.model_named(model_name text) returns pixseek.models
language plpgsql stable
set search_path = ''
as $$
declare
  model pixseek.models;
begin
  if model_name is null then
    select * into model from pixseek.models where state = 'active';
  else
    select * into model from pixseek.models where name = model_name;
  end if;
  if not found then
    raise exception 'unknown model: %', coalesce(model_name, '(none is active)')
      using errcode = '42704', hint = 'Register it with create_model_v1.';
  end if;
  return model;
end
$$;

-- Refuses a vector that does not belong to the model's space or has no direction.
create function pixseek.check_vector(embedding vector, model pixseek.models) returns void
language plpgsql immutable
set search_path from current
as $$
begin
  if embedding is null or vector_dims(embedding) <> model.dimensions then
    raise exception 'the vector has % dimensions; model % needs %',
      coalesce(vector_dims(embedding), 0), model.name, model.dimensions
      using errcode = '22023', hint = 'Embed with the model that the index uses.';
  end if;
  -- As it is stored and compared: what is tiny becomes zero there.
  if l2_norm(embedding::halfvec) = 0 then
    raise exception 'the vector is zero: it points nowhere, so nothing is near it (model %, % dimensions)',
      model.name, model.dimensions using errcode = '22023';
  end if;
end
$$;

revoke execute on function public.create_model_v1 from public, anon, authenticated;
revoke execute on function pixseek.model_named, pixseek.check_vector from public;
grant execute on function public.create_model_v1 to service_role;
grant execute on function pixseek.model_named, pixseek.check_vector to authenticated, service_role;

reset search_path;
