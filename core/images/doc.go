// Package images knows which tags the images that run have in their
// registries, and decides which repository is asked when, and for how much.
//
// # What is scanned
//
// SetTargets names the containers that run, each with its rules. A scan is of
// one repository as one credential sees it: targets whose credentials the
// broker calls by the same ID share one scan, targets with different ones never
// share anything but what a digest names, which is the same for everybody.
// Settings choose among the targets; those that they leave out are looked at
// only by Scan and Resolve. No request is ever sent for what Include and
// Exclude keep out.
//
// A scan is one complete listing of tags, from the registry's own API where the
// broker has a lister for it, else by the registry protocol; a listing that was
// cut short counts as failed. Then follows what policies need and nothing more:
//
//   - a policy by version needs names only: no further request;
//   - a policy by time needs the time of each tag that it matches. It is taken
//     from the listing where the registry tells it, else from the image, which
//     is read once and remembered by its digest for good;
//   - an age that an image must have, or platforms, take the same of each tag
//     that matches and, if names tell the order, is not behind what runs;
//   - a reference that is pinned to a digest takes one HEAD at each listing, for
//     the tag that runs, which may have moved, and one for the tag that it would
//     move to, unless the listing tells digests;
//   - without a policy, nothing, until somebody asks with Resolve or Lookup.
//
// An image that is not known is read by its tag, which gives its digest with
// the first answer and saves the HEAD; a tag whose digest is known already is
// asked for by HEAD. On Docker Hub the HEAD comes first in any case: it does not
// count as a pull, as each GET of a manifest does.
//
// # When
//
// A repository is listed at Settings.Interval, with jitter. Each scan without
// news makes its interval half as long again, up to eight times, and news or a
// new target bring it back. Tags that may move are asked for again in the
// course of a listing, never on their own: running ones, and those that moved
// before, when they have not changed for as long as they were known to stay the
// same, from 5 minutes to a day; others from a day to a week. That is for
// policies by time only. Times of the last scan and of the next one are in the
// cache: after a restart nothing is asked before it is due.
//
// Each registry host has workers of its own, so that a slow or throttled one
// delays no other, and images are read in small portions between listings. What
// a person waits for comes first, and joins what is under way.
//
// # What can be relied on
//
// A listing that shrank proves little: registries lose parts of their index and
// find them again. Up to three tags that vanish at once are taken at their
// word. If more vanish, or lose the digest that they had, or all, they are
// suspect: they count as there until the next complete listing misses them,
// too. View tells what is suspect, and what vanished when, so that nobody moves
// to an older image because of it. New tags count at once.
//
// Missing facts never decide: View.Complete is false while the time of any tag
// that the policy matches, or of the one that runs, is not known and may still
// become known, and View.Missing names these tags. A tag that cannot have one,
// because its manifest does not exist, is broken, or names no time, is left out
// with the reason, and stops nobody.
//
// Failures are of one repository: it backs off, and its View says why. One that
// a registry refuses backs off for long; but at each interval the broker is
// asked whether there is another credential, or another value of it, with which
// the repository is listed at once. Retry, and settings that change, make
// everything due that has failed. Scans of people make nothing later.
//
// Scan and Known agree: once a scan has found that a target has another
// credential, that counts for everybody.
package images
