import type { ResourceDetail } from '../models/detail';
import type { ResourceKind } from '../tokens';
import { AlgorithmPage } from './algorithms/page';
import { BuildPage } from './builds/page';
import { DatasetPage } from './datasets/page';
import { ImagePage } from './images/page';
import { ModelPage } from './models/page';
import { ServicePage } from './services/page';
import { TaskPage } from './tasks/page';

/**
 * What every page of a resource is given.
 */
export interface IPageProps<T> {
  model: ResourceDetail<T>;
  tab: string;
  onTab: (tab: string) => void;
}

/**
 * The page of each kind of resource. Which type a page takes follows from its kind.
 */
export const PAGES: Record<
  ResourceKind,
  (props: IPageProps<never>) => JSX.Element
> = {
  algorithms: AlgorithmPage,
  builds: BuildPage,
  datasets: DatasetPage,
  images: ImagePage,
  models: ModelPage,
  services: ServicePage,
  tasks: TaskPage
};
