-- Search. Security invoker: the caller's row-level security decides what can be found.

select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- Loads pgvector into this session: only then may a role without superuser rights name hnsw.* below.
select '[1]'::vector;

-- The nearest pictures of one model, best first. The threshold is applied by the callers, outside the scan:
-- inside it, a query without a match would walk the whole graph.
create function pixseek.nearest_images(query_embedding vector, model pixseek.models, match_count integer)
returns table (id bigint, bucket text, image text, similarity double precision)
language plpgsql stable
set search_path from current
-- Filters, row-level security among them, are applied after the index: go on until enough rows are found.
set hnsw.iterative_scan = strict_order
set hnsw.ef_search = 100
as $$
begin
  perform pixseek.check_vector(query_embedding, model);
  if match_count is null or match_count not between 1 and 1000 then
    raise exception 'match_count must be from 1 to 1000, not %', coalesce(match_count::text, 'null')
      using errcode = '22023';
  end if;
  -- Model and length as literals: so the planner sees one partition, and the expression that its index is on.
  return query execute format(
    $query$
      select i.id, i.bucket, i.name, 1 - (v.embedding::halfvec(%2$s) <=> $1::halfvec(%2$s))
      from pixseek.vectors v
      join pixseek.images i on i.id = v.image_id
      where v.model_id = %1$s and i.state = 'indexed'
      order by v.embedding::halfvec(%2$s) <=> $1::halfvec(%2$s)
      limit $2
    $query$, model.id, model.dimensions
  ) using query_embedding, match_count;
end
$$;

-- Pictures at or above min_similarity (the model's floor when null), best first.
create function public.search_images_v1(
  query_embedding vector, match_count integer, model_name text default null,
  min_similarity double precision default null
) returns table (id bigint, bucket text, image text, similarity double precision)
language plpgsql stable
set search_path from current
as $$
declare
  model pixseek.models := pixseek.model_named(model_name);
begin
  return query
  select n.id, n.bucket, n.image, n.similarity
  from pixseek.nearest_images(query_embedding, model, match_count) n
  where n.similarity >= coalesce(min_similarity, model.similarity_floor)
  order by n.similarity desc, n.id;
end
$$;

-- The guide's function, with its very shape: an existing client goes on working.
create function public.match_images(query_embedding vector(512), match_threshold double precision, match_count integer)
returns table (id bigint, image text, similarity double precision)
language sql stable
set search_path from current
as $$
  select n.id, n.image, n.similarity
  from pixseek.nearest_images(query_embedding, pixseek.model_named(null), match_count) n
  where n.similarity > match_threshold
  order by n.similarity desc, n.id;
$$;

revoke execute on function public.search_images_v1, public.match_images from public, anon;
revoke execute on function pixseek.nearest_images from public;
grant execute on function public.search_images_v1, public.match_images, pixseek.nearest_images
to authenticated, service_role;

reset search_path;
