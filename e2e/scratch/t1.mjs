import {useBackend} from '/work/w/app/e2e/dist/apps/common/backend.js';
import {loadEncoder} from '/work/w/app/e2e/dist/apps/main/encoders/load.js';
import {Member} from '/work/w/app/e2e/dist/apps/main/member.js';
import {groupedFormat} from '/work/w/app/e2e/dist/tools/formats.js';
import * as tf from '@tensorflow/tfjs-core';
await useBackend('wasm');
const texts=[[5,6,7],[8,9,10,11,12],[100]].map(x=>Int32Array.from(x));
for (const model of ['use-lite','use-lite-shipped']) for (const quantization of [undefined,{format:groupedFormat('int4'),quantizer:{type:'nearest'},embedding:false},{format:groupedFormat('int4'),quantizer:{type:'gnp-iq',codesFrom:'base'},embedding:true}]) {
 try {
  let t=performance.now();
  const e = await loadEncoder({model, quantization});
  console.log(model, quantization?.quantizer.type, 'load', performance.now()-t|0,'ms', tf.memory().numBytes);
  const m = new Member(e);
  const v0 = await m.encode({tokens:texts,length:6});
  const starts = await m.adapt({type:'ismoe',experts:4}, 1, [{kernel:Float32Array.from({length:1024},(_, i)=>Math.sin(i)),bias:new Float32Array(2)}]);
  const v1 = await m.encode({tokens:texts,length:6});
  console.log('start diff', Math.max(...v0.map((v,i)=>Math.abs(v-v1[i]))), starts.length, starts.reduce((a,s)=>a+s.values.length,0));
  await m.assign(starts.map(({values},i)=>values.map((v,k)=>v+0.05*Math.sin(k+i))));
  const a = await m.encode({tokens:texts,length:6}); const b = await m.encode({tokens:texts,length:9});
  console.log('padding diff', Math.max(...a.map((v,i)=>Math.abs(v-b[i]))), 'moved', Math.max(...a.map((v,i)=>Math.abs(v-v0[i]))));
  const g = await m.gradients({tokens:texts,length:6,heads:[0,0,0],labels:[0,1,1],count:3,seed:1});
  console.log('loss',g.loss,'null grads',g.gradients.filter(x=>!x).length, 'zero', g.gradients.filter(x=>x&&x.every(v=>v===0)).length);
  await m.release();
  const v2 = await m.encode({tokens:texts,length:6});
  console.log('after', Math.max(...v0.map((v,i)=>Math.abs(v-v2[i]))));
  tf.disposeVariables();
 } catch(e) {console.log('FAIL',model,quantization?.quantizer.type,e.stack.split('\n').slice(0,6).join('\n'))}
}
