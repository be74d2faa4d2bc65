// What Supabase's own Auth client finds at a project. Reads what it is told from stdin; answers JSON.
import { AuthClient } from '@supabase/auth-js'
import { text } from 'node:stream/consumers'

const told = JSON.parse(await text(process.stdin))
const requests = []

function client() {
  return new AuthClient({
    url: `${told.url}/auth/v1`,
    headers: { apikey: told.key, Authorization: `Bearer ${told.key}` },
    autoRefreshToken: false,
    persistSession: false,
    fetch: (address, options) => {
      requests.push(`${options.method} ${new URL(address).pathname}`)
      return fetch(address, options)
    },
  })
}

async function signedIn() {
  const auth = client()
  const { data, error } = await auth.signInWithPassword({ email: told.email, password: told.password })
  if (error) throw error
  return { auth, session: data.session, user: data.user }
}

function refusal({ error }) {
  return error && { name: error.name, code: error.code, status: error.status }
}

async function sessions() {
  const wrong = await client().signInWithPassword({ email: told.email, password: 'another' })
  const { auth, session, user } = await signedIn()
  const known = await auth.getUser()
  const renewed = (await auth.refreshSession()).data.session
  const again = await client().refreshSession({ refresh_token: session.refresh_token })
  const other = await signedIn()
  const out = await other.auth.signOut()
  const after = await client().getUser(other.session.access_token)
  return {
    wrong: refusal(wrong),
    user: user.id,
    known: known.data.user.email,
    isRenewed: renewed.refresh_token !== session.refresh_token,
    again: refusal(again),
    out: refusal(out),
    after: refusal(after),
  }
}

async function keys() {
  const { auth, session } = await signedIn()
  requests.length = 0
  const own = await auth.getClaims()
  const older = told.token ? await client().getClaims(told.token) : { data: null }
  return {
    token: session.access_token,
    own: own.data,
    older: older.data,
    requests: [...new Set(requests)],
  }
}

console.log(JSON.stringify(await { sessions, keys }[told.action]()))
