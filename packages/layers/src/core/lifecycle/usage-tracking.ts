import {type SiteUsage, UsageRecorder} from '../sites/usage.js';

/** What carries adapters and can count what their routers decide. */
interface Counting {
  readonly active: string | null;
  usage?: UsageRecorder | undefined;
}

/** Statistics over all sites of a model, while they are wanted. */
export class UsageTracking {
  /** How many tasks are told apart; null if nothing is tracked. */
  tasks: number | null = null;

  /** Starts anew at all sites, telling so many tasks apart; or, with null, ends. */
  set(sites: Iterable<Counting>, tasks: number | null): void {
    this.tasks = tasks;
    for (const site of sites) {
      site.usage?.reset();
      if (tasks === null) delete site.usage;
      else site.usage = new UsageRecorder(tasks);
    }
  }

  /** For a site that comes later. */
  join(site: Counting): void {
    if (this.tasks !== null) site.usage = new UsageRecorder(this.tasks);
  }

  /** What was counted of the active adapter, or the one that was active last, by site; null if nothing is tracked. */
  async read(sites: Iterable<[string, Counting]>, reset: boolean): Promise<SiteUsage[] | null> {
    if (this.tasks === null) return null;
    const read: SiteUsage[] = [];
    for (const [path, site] of sites) {
      const recorder = site.usage!;
      const adapter = site.active ?? recorder.latest;
      const usage = await recorder.read(path, adapter);
      if (usage !== null) read.push(usage);
      if (reset) recorder.reset(adapter);
    }
    return read;
  }
}
