// The OpenID provider of npm, with one client and whoever signs in by any name. Arguments: folder of the packages, port,
// redirect address, secret of the client.
import { pathToFileURL } from 'node:url';

const [folder, port, redirect, secret] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));

const groups = { ann: ['staff', 'ops'], eve: ['staff'] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'tidemark', client_secret: secret, redirect_uris: [redirect] }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
  // What is asked for by scope is in the ID token, as with the providers that companies run.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ['a key of a test'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: groups[id] ?? [] }),
  }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
