-- Handing out work: images that a model has no vector of. Any number of workers share it.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Locks up to n images that nobody works on, oldest first; those that somebody holds are passed over.
create function pixseek.open_work(of_model_id integer, n integer) returns bigint[]
language sql
set search_path = ''
as $$
  select array(
    select w.image_id
    from pixseek.work w
    join pixseek.images i on i.id = w.image_id and i.state in ('pending', 'indexed', 'failed')
    where w.model_id = of_model_id and not w.is_failed
      and w.attempts < pixseek.max_attempts() and w.leased_until < clock_timestamp()
      and not exists (
        select from pixseek.vectors v where v.image_id = w.image_id and v.model_id = of_model_id
      )
      and not exists (
        select from pixseek.leases l
        where l.model_id = of_model_id and l.content_hash = i.content_hash and l.leased_until >= clock_timestamp()
      )
    order by w.image_id
    limit n
    for no key update of i, w skip locked
  );
$$;

-- Puts images without a vector of the model to the open work, some thousands at a time: a new model starts with
-- none, and whatever was missed is found here. Reads the whole index, so it runs when all else is handed out.
create function pixseek.find_work(of_model_id integer) returns void
language sql
set search_path = ''
as $$
  insert into pixseek.work (image_id, model_id)
  select s.image_id, of_model_id
  from pixseek.standings s
  where not exists (select from pixseek.vectors v where v.image_id = s.image_id and v.model_id = of_model_id)
    and not exists (select from pixseek.work w where w.image_id = s.image_id and w.model_id = of_model_id)
  order by s.image_id
  limit 10000
  on conflict do nothing;
  delete from pixseek.leases where model_id = of_model_id and leased_until < clock_timestamp() - interval '1 day';
$$;

-- Leases up to n images to the caller for lease_s seconds, oldest first; none of them is anybody else's. One
-- image for the same bytes: storing its vector serves them all. An expired lease is handed out again; an image
-- that was tried too often has failed, with the reason of the last try.
create function public.claim_images_v1(model text default null, n integer default 32, lease_s integer default 300)
returns table (image_id bigint, bucket text, name text, version text, content_hash text, attempts integer)
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  of_model pixseek.models := pixseek.model_for_writing(claim_images_v1.model);
  candidates bigint[];
  unshared bigint[];
  leased bigint[];
begin
  if not coalesce(claim_images_v1.n between 1 and 500, false) then
    raise exception 'n must be from 1 to 500, not %', coalesce(claim_images_v1.n::text, 'null')
      using errcode = '22023', hint = 'A batch that a worker embeds within its lease.';
  end if;
  -- One claim at a time: whoever waited sees what the other took and found.
  perform pg_advisory_xact_lock(hashtextextended('pixseek.claims', of_model.id));
  perform pixseek.fail_exhausted(
    array(
      select w.image_id from pixseek.work w
      join pixseek.images i on i.id = w.image_id
      where w.model_id = of_model.id and not w.is_failed and w.attempts >= pixseek.max_attempts()
        and w.leased_until < clock_timestamp()
      order by w.image_id
      limit 500
      for no key update of i, w skip locked
    ),
    of_model.id
  );
  candidates := pixseek.open_work(of_model.id, claim_images_v1.n);
  if candidates = '{}' then
    perform pixseek.find_work(of_model.id);
    candidates := pixseek.open_work(of_model.id, claim_images_v1.n);
  end if;
  -- Copies of what has a vector need no worker.
  loop
    perform pixseek.share_vectors(candidates);
    perform pixseek.finish(candidates, of_model.id);
    perform pixseek.settle(candidates);
    unshared := array(
      select id from unnest(candidates) id
      where not exists (
        select from pixseek.vectors v where v.image_id = id and v.model_id = of_model.id and not v.from_client
      )
    );
    exit when unshared <> '{}' or candidates = '{}';
    candidates := pixseek.open_work(of_model.id, claim_images_v1.n);
  end loop;
  leased := pixseek.lease(unshared, of_model.id, claim_images_v1.lease_s);
  return query
  select i.id, i.bucket, i.name, i.version, i.content_hash, w.attempts
  from pixseek.images i
  join pixseek.work w on w.image_id = i.id and w.model_id = of_model.id
  where i.id = any (leased)
  order by i.id;
end
$$;

-- Queues images that failed under a model again, with all their tries; all of them for null. Answers how many.
create function public.requeue_images_v1(model_name text default null, image_ids bigint[] default null)
returns integer
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
#variable_conflict use_column
declare
  of_model pixseek.models := pixseek.model_for_writing(model_name);
  requeued bigint[];
begin
  perform pixseek.lock_images(array(
    select w.image_id from pixseek.work w
    where w.model_id = of_model.id and w.is_failed
      and (requeue_images_v1.image_ids is null or w.image_id = any (requeue_images_v1.image_ids))
  ));
  with updated as (
    update pixseek.work w set is_failed = false, attempts = 0, leased_until = '-infinity', reason = null
    where w.model_id = of_model.id and w.is_failed
      and (requeue_images_v1.image_ids is null or w.image_id = any (requeue_images_v1.image_ids))
    returning w.image_id
  )
  select coalesce(array_agg(image_id), '{}') into requeued from updated;
  -- The image itself is no longer failed, and waits.
  update pixseek.images i set state = 'pending', reason = null, updated_at = now()
  where i.id = any (requeued) and i.state = 'failed';
  perform pixseek.settle(requeued);
  return cardinality(requeued);
end
$$;

revoke execute on function
  public.claim_images_v1, public.requeue_images_v1, pixseek.open_work, pixseek.find_work
from public, anon, authenticated;
grant execute on function
  public.claim_images_v1, public.requeue_images_v1, pixseek.open_work, pixseek.find_work
to service_role;
