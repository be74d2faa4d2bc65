-- What the operator sees: where pictures stand, and why some failed.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Where the named objects of a bucket stand; those never seen are absent.
create function public.image_states_v1(bucket_name text, object_names text[])
returns table (name text, state text, content_hash text, reason text)
language sql stable
set search_path = ''
as $$
  select i.name, i.state, i.content_hash, i.reason
  from pixseek.images i
  where i.bucket = bucket_name and i.name = any (pixseek.checked_names(object_names));
$$;

create function public.index_counts_v1()
returns table (state text, images bigint)
language sql stable
set search_path = ''
as $$
  select i.state, count(*) from pixseek.images i group by i.state
  order by array_position(array['indexed', 'pending', 'failed', 'blocked', 'deleted'], i.state);
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
  limit pixseek.checked_count(match_count);
$$;

revoke execute on function public.image_states_v1, public.index_counts_v1, public.failed_images_v1
from public, anon, authenticated;
grant execute on function public.image_states_v1, public.index_counts_v1, public.failed_images_v1
to service_role;
