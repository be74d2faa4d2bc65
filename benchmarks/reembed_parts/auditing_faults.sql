-- Makes what public.planted (fault, way, id, name) says of some pictures of auditing_data.sql true: faults in the ways
-- that there are, and what looks like one and is none ("gone" to "notes", without a fault's name).
-- By a superuser, with session_replication_role = replica.

-- Objects, previews and vectors that are not there.
delete from storage.objects o using public.planted p
where o.bucket_id = 'photos' and o.name = p.name and p.way in ('no object', 'gone');
delete from storage.objects o using public.planted p
where o.bucket_id = 'photos-previews' and o.name = pixseek.preview_name(p.id, 0)
  and p.way in (
    'no row', 'tombstone', 'no preview', 'no preview behind the record', 'gone', 'no picture', 'pending', 'leased'
  );
delete from pixseek.vectors v using public.planted p
where v.image_id = p.id
  and p.way in (
    'no row', 'tombstone', 'no vector', 'vector of another model', 'given up', 'lease over', 'lease too long',
    'lease of the bytes over', 'gone', 'no picture', 'pending', 'leased'
  );
insert into pixseek.vectors (image_id, model_id, embedding)
select p.id, m.id, array_fill((1 / sqrt(m.dimensions))::real, array[m.dimensions])::extensions.halfvec
from public.planted p, pixseek.models m
where p.way = 'vector of another model' and m.state = 'building';

-- Rows.
delete from pixseek.images i using public.planted p where i.id = p.id and p.way = 'no row';
update pixseek.images i set
  state = case
    when p.way in ('tombstone', 'gone') then 'deleted'
    when p.way in ('given up', 'no picture') then 'failed'
    when p.way = 'blocked' then 'blocked'
    when p.way in ('lease over', 'lease too long', 'lease of the bytes over', 'pending', 'leased') then 'pending'
    else i.state
  end,
  reason = case when p.way in ('given up', 'no picture', 'blocked') then p.way end,
  version = case
    when p.way in ('tombstone', 'gone') then null
    when p.way = 'other version' then gen_random_uuid()::text
    else i.version
  end,
  content_hash = case when p.way not in ('tombstone', 'gone') then i.content_hash end,
  size_bytes = case when p.way not in ('tombstone', 'gone') then i.size_bytes + (p.way = 'other size')::integer end,
  has_preview = p.way not in ('tombstone', 'gone', 'no preview', 'no picture', 'pending', 'leased'),
  edition = (p.way = 'preview of before')::integer
from public.planted p
where i.id = p.id;

-- Work and leases.
insert into pixseek.work (image_id, model_id, attempts, leased_until, is_failed, reason)
select p.id, m.id, w.attempts, w.leased_until, w.attempts = 5, case when w.attempts = 5 then p.way end
from public.planted p
join (
  values
    ('given up', 5, '-infinity'::timestamptz),
    ('lease over', 1, now() - interval '2 hours'),
    ('lease too long', 1, now() + interval '1 day'),
    ('lease of the bytes over', 0, '-infinity'),
    ('pending', 0, '-infinity'),
    ('leased', 1, now() + interval '2 minutes')
) w (way, attempts, leased_until) on w.way = p.way
join pixseek.models m on m.state = 'active';
insert into pixseek.leases (model_id, content_hash, leased_until)
select m.id, i.content_hash, now() - interval '2 hours'
from public.planted p
join pixseek.images i on i.id = p.id
join pixseek.models m on m.state = 'active'
where p.way = 'lease of the bytes over';

-- Previews that nobody needs; of the bytes of before the one that was there already. And what is no preview.
insert into storage.objects (bucket_id, name, version, metadata)
select 'photos-previews',
       case p.way
         when 'preview of nothing' then pixseek.preview_name(1000000000 + p.id, 0)
         when 'preview of before' then pixseek.preview_name(p.id, 1)
         when 'preview to come' then pixseek.preview_name(p.id, 7)
         else 'notes ' || p.id || '.txt'
       end,
       gen_random_uuid()::text, '{"eTag": "etag", "size": 5000, "mimetype": "image/webp"}'
from public.planted p
where p.fault = 'orphan_preview' or p.way = 'notes';

-- As an audit tells of them.
create view public.faults as
select p.fault, 'photos' as bucket, p.name from public.planted p where p.fault not in ('', 'orphan_preview')
union all
select p.fault, 'photos-previews',
       case p.way
         when 'preview of nothing' then pixseek.preview_name(1000000000 + p.id, 0)
         when 'preview of before' then pixseek.preview_name(p.id, 0)
         else pixseek.preview_name(p.id, 7)
       end
from public.planted p
where p.fault = 'orphan_preview';
