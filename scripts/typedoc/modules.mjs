// A module of the API pages is called what a user imports, such as @tfjs-peft/kernels/wasm.
import {Converter, ReflectionKind} from 'typedoc';

export function load({converter}) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({project}) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module))
      module.name = `@tfjs-peft/${module.name.replace(/\/src(\/index)?$/, '').replace('/src/', '/')}`;
  });
}
