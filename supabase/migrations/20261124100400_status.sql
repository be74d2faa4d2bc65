-- What the operator sees: where pictures stand, and why some failed.

-- Where the named objects of a bucket stand; those never seen are absent.
create function public.image_states_v1(bucket_name text, object_names text[])
returns table (name text, state text, content_hash text, reason text)
language sql stable
set search_path = ''
as $$
  select i.name, i.state, i.content_hash, i.reason
  from pixseek.images i
  where i.bucket = bucket_name and i.name = any (object_names);
$$;

create function public.index_counts_v1()
returns table (state text, images bigint)
language sql stable
set search_path = ''
as $$
  select i.state, count(*) from pixseek.images i group by i.state;
$$;

create function public.list_models_v1()
returns table (name text, dimensions integer, similarity_floor double precision, languages text[], state text,
               vectors bigint)
language sql stable
set search_path = ''
as $$
  select m.name, m.dimensions, m.similarity_floor, m.languages, m.state,
         (select count(*) from pixseek.vectors v where v.model_id = m.id)
  from pixseek.models m
  order by m.id;
$$;

-- The latest failures first.
create function public.failed_images_v1(match_count integer)
returns table (bucket text, image text, reason text, updated_at timestamptz)
language sql stable
set search_path = ''
as $$
  select i.bucket, i.name, i.reason, i.updated_at
  from pixseek.images i
  where i.state = 'failed'
  order by i.updated_at desc, i.id desc
  limit match_count;
$$;

revoke execute on function
  public.image_states_v1, public.index_counts_v1, public.list_models_v1, public.failed_images_v1
from public, anon, authenticated;
grant execute on function
  public.image_states_v1, public.index_counts_v1, public.list_models_v1, public.failed_images_v1
to service_role;
