// A client as the guide has one: it embeds pictures and sentences itself, stores, inserts, searches, downloads.
// Reads what it is told from stdin; answers JSON.
import { createClient } from '@supabase/supabase-js'
import { text } from 'node:stream/consumers'

const told = JSON.parse(await text(process.stdin))
const supabase = createClient(told.url, told.key, {
  auth: { autoRefreshToken: false, persistSession: false },
  // Nothing here is followed live, and before version 22 Node.js has no WebSocket.
  realtime: { transport: class {} },
})

function sound({ data, error }) {
  if (error) throw new Error(JSON.stringify({ message: error.message, ...error }))
  return data
}

async function embedding(route, asked) {
  const answer = await fetch(`${told.roboflow}/clip/${route}?api_key=${told.roboflowKey}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ clip_version_id: 'ViT-B-16', ...asked }),
  })
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()).embeddings[0]
}

async function upload(name, value) {
  const vector = await embedding('embed_image', { image: [{ type: 'base64', value }] })
  const file = new Blob([Buffer.from(value, 'base64')], { type: 'image/png' })
  const options = { cacheControl: '3600', upsert: false }
  sound(await supabase.storage.from('images').upload(name, file, options))
  sound(await supabase.from('images').insert({ image: name, embedding: vector }))
}

async function search(sentence) {
  return sound(
    await supabase.rpc('match_images', {
      query_embedding: await embedding('embed_text', { text: sentence }),
      match_threshold: told.threshold,
      match_count: told.count,
    }),
  )
}

async function download(name) {
  const file = sound(await supabase.storage.from('images').download(name))
  return Buffer.from(await file.arrayBuffer()).toString('base64')
}

if (told.email) sound(await supabase.auth.signInWithPassword({ email: told.email, password: told.password }))
for (const [name, value] of Object.entries(told.pictures)) await upload(name, value)
const rows = await search(told.sentence)
console.log(JSON.stringify({ rows, downloaded: await download(rows[0].image) }))
process.exit()
