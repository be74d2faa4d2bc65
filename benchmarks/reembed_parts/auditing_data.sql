-- A bucket and an index that fit together, of bench.pictures pictures: what there is to know, and no bytes.
-- By a superuser, with session_replication_role = replica: nothing is to be indexed.

-- Capitals, digits and signs: by their bytes names come in another order than in any language.
create function public.made_name(number bigint) returns text
language sql immutable
return (array['Zoo', 'apple', '_new', '(1) ', '9'])[1 + number % 5] || '/' || lpad(number::text, 9, '0') || '.jpg';

insert into storage.buckets (id, name) values ('photos', 'photos'), ('photos-previews', 'photos-previews');
insert into storage.objects (bucket_id, name, version, metadata, created_at, updated_at)
select 'photos', public.made_name(g), md5('object ' || g)::uuid::text,
       jsonb_build_object('eTag', md5('etag ' || g), 'size', 10000 + g % 90000, 'mimetype', 'image/jpeg'),
       '2026-11-01T00:00:00Z', '2026-11-01T00:00:00Z'
from generate_series(1, current_setting('bench.pictures')::bigint) g;
insert into storage.objects (bucket_id, name, version, metadata)
select 'photos-previews', pixseek.preview_name(g, 0), md5('preview ' || g)::uuid::text,
       jsonb_build_object('eTag', md5('preview ' || g), 'size', 5000, 'mimetype', 'image/webp')
from generate_series(1, current_setting('bench.pictures')::bigint) g;

insert into pixseek.buckets (name) values ('photos');
insert into pixseek.images (
  id, bucket, name, version, ordering_key, content_hash, content_type, size_bytes, width, height, created_at, state,
  has_preview
)
overriding system value
select g, 'photos', public.made_name(g), md5('object ' || g)::uuid::text,
       pixseek.moment_key('2026-11-01T00:00:00Z'), md5('a' || g) || md5('b' || g), 'image/jpeg', 10000 + g % 90000,
       160, 120, '2026-11-01T00:00:00Z', 'indexed', true
from generate_series(1, current_setting('bench.pictures')::bigint) g;
select setval(pg_get_serial_sequence('pixseek.images', 'id'), max(id)) from pixseek.images;

-- All of them equal: an audit asks whether there is one.
insert into pixseek.vectors (image_id, model_id, embedding)
select g, m.id, array_fill((1 / sqrt(m.dimensions))::real, array[m.dimensions])::extensions.halfvec
from pixseek.models m, generate_series(1, current_setting('bench.pictures')::bigint) g;
