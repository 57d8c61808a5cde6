import {type SiteUsage, UsageRecorder} from '../sites/usage.js';

/** A site that can count the decisions of its routers. */
interface Counting {
  readonly active: string | null;
  usage?: UsageRecorder | undefined;
}

/** Usage statistics of all sites of a model, while tracking is on. */
export class UsageTracking {
  /** Number of tasks counted separately; null if tracking is off. */
  tasks: number | null = null;

  /** Restarts tracking at all sites for a number of tasks, or ends it if `tasks` is null. */
  set(sites: Iterable<Counting>, tasks: number | null): void {
    this.tasks = tasks;
    for (const site of sites) {
      site.usage?.reset();
      if (tasks === null) delete site.usage;
      else site.usage = new UsageRecorder(tasks);
    }
  }

  /** Starts tracking at a site that was added later. */
  join(site: Counting): void {
    if (this.tasks !== null) site.usage = new UsageRecorder(this.tasks);
  }

  /** The counts of the active (else the last active) adapter, by site; null if tracking is off. */
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
